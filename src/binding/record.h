/* SPDX-License-Identifier: MIT */
/* The record userdata, and what makes, aims and moves records. */
#ifndef SHMSEG_BINDING_RECORD_H
#define SHMSEG_BINDING_RECORD_H

#include "binding/element.h"

typedef struct {
  view view;
  const shape *shape;
  bool has_table; /* the user value is a table of the record's own, with its parts */
  bool follows;   /* another record, whose part it is: it moves when that one does */
} record;

#pragma GCC visibility push(hidden)

extern const char record_tag;

static inline record *check_record(lua_State *L, int arg) {
  record *r = test_tag(L, arg, &record_tag);
  if (!r)
    luaL_argerror(L, arg, "record expected");
  return r;
}

/* Makes the metatable of a shape's records, whose fields are in the table at index fields. Returns
 * its reference in the registry. */
int make_record_class(lua_State *L, int fields);

/* The functions for shape.push_record and shape.aim_record. */
void *push_record(lua_State *L, int views, const shape *s);
void record_aim(void *record, const view *base, uint64_t offset);

/* Adds the view at the top, with its parts, to the table of views at index views. It may allocate. */
void record_enter_views(lua_State *L, const field *f, int views, void *context);

/* Aims the view at the top at its field f of base, and makes the table at index views its own.
 * Allocates nothing: record_enter_views() has made the entries. */
void record_move_view(lua_State *L, const field *f, int views, void *base);

#pragma GCC visibility pop

#endif
