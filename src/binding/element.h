/* SPDX-License-Identifier: MIT */
/* Elements: what arrays hold and fields are. A scalar, a fixed string or a struct.
 *
 * Values are converted between Lua and private memory: an image of the element's bytes, and where
 * a table may leave fields out, a mask of the bytes that were named. */
#ifndef SHMSEG_BINDING_ELEMENT_H
#define SHMSEG_BINDING_ELEMENT_H

#include "binding/scalar.h"
#include "binding/view.h"

typedef struct shape shape;

enum { ELEMENT_CHAR = SCALARS, ELEMENT_STRUCT }; /* go on where the scalars end */

typedef struct {
  int type;           /* a scalar or one of the above */
  size_t size;        /* bytes */
  const shape *shape; /* of a struct */
  bool cut;           /* a fixed string takes longer ones, too */
} element;

typedef struct {
  const shape *owner;
  const char *name;
  element element;
  uint64_t offset;
  uint64_t count; /* elements */
  bool is_array;
} field;

/* The layout of a struct. It lives as long as the Lua state. */
struct shape {
  const void *tag;
  int record_class; /* the records' metatable, in the registry */
  /* Makes a record of the shape among the parts whose table is at index views; it is to be aimed. */
  void *(*push_record)(lua_State *L, int views, const shape *s);
  void (*aim_record)(void *record, const view *base, uint64_t offset);
  uint64_t size;
  int depth; /* 1, or more with structs inside */
  int count;
  field fields[];
};

/* Where a value stands in what Lua gave. Errors alone make text of it. */
typedef struct where {
  const struct where *outer; /* NULL: in nothing */
  const field *field;        /* whose value it is, or NULL */
  uint64_t index;            /* of the element or value, from 1; 0: the whole */
} where;

#pragma GCC visibility push(hidden)

/* Pushes the value that private bytes hold: a struct as a table. */
void element_push(lua_State *L, const element *e, const unsigned char *bytes);

/* Converts the value at index, which is not negative, to an image. mask gets 1 for each byte that
 * the value names. Raises what is wrong with it, and where. */
void element_encode(lua_State *L, int index, const element *e, const where *w, unsigned char *image,
                    unsigned char *mask);

/* Raises that the value at index is not what was expected. */
int element_error(lua_State *L, int index, const where *w, const char *expected);

/* The same for a field inside outer (may be NULL): one element, or a table of them. */
void field_encode(lua_State *L, int index, const field *f, const where *outer, unsigned char *image,
                  unsigned char *mask);
void field_push(lua_State *L, const field *f, const unsigned char *bytes);

/* Copies the bytes that the mask names into a mapping. */
void element_write(unsigned char *to, const unsigned char *image, const unsigned char *mask,
                   size_t size);

/* Pushes scratch memory for an image of size bytes and its mask, both zero. */
unsigned char *push_image(lua_State *L, size_t size, unsigned char **mask);

/* Is the value at index an array? */
extern const char array_tag;
static inline bool is_array(lua_State *L, int index) {
  return test_tag(L, index, &array_tag) != NULL;
}

#pragma GCC visibility pop

#endif
