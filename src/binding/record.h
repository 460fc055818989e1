/* SPDX-License-Identifier: MIT */
/* The record userdata: what makes records and moves them. */
#ifndef SHMSEG_BINDING_RECORD_H
#define SHMSEG_BINDING_RECORD_H

#include "binding/element.h"

typedef struct {
  view view;
  const shape *shape;
  bool has_parts; /* the user value is the record's own table */
  bool is_part;   /* of another record, which it follows */
} record;

extern const char record_tag;

static inline record *check_record(lua_State *L, int arg) {
  record *r = test_tag(L, arg, &record_tag);
  if (!r)
    luaL_argerror(L, arg, "record expected");
  return r;
}

#pragma GCC visibility push(hidden)

/* Makes the metatable of a shape's records, whose functions find the fields in the table at index
 * fields; gives its place in the registry. */
int make_record_class(lua_State *L, int fields);

/* What shape.push_record and shape.aim_record are. */
void *push_record(lua_State *L, int views, const shape *s);
void record_aim(void *record, const view *base, uint64_t offset);

/* Enters the view at the top into another segment's table of views, with its parts. */
void record_enter_views(lua_State *L, const field *f, int views, void *context);

/* Aims the view at the top at its field of base, and moves it to another table of views. Nothing
 * here allocates: the entries are there. */
void record_move_view(lua_State *L, const field *f, int views, void *base);

#pragma GCC visibility pop

#endif
