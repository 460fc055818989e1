/* SPDX-License-Identifier: MIT */
/* Elements: what arrays hold and fields are. A scalar, a fixed string or a struct.
 *
 * Values are converted between Lua and private memory: an image of the element's bytes. A table may
 * leave fields out, so an image has a mask: 1 for each byte that the value names. */
#ifndef SHMSEG_BINDING_ELEMENT_H
#define SHMSEG_BINDING_ELEMENT_H

#include "binding/scalar.h"
#include "binding/view.h"

typedef struct shape shape;

enum { ELEMENT_CHAR = SCALARS, ELEMENT_STRUCT }; /* numbers behind those of the scalars */

typedef struct {
  int type;           /* a scalar or one of the above */
  size_t size;        /* bytes */
  const shape *shape; /* of a struct */
  bool cut;           /* a fixed string: a longer one is cut, and no error */
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
  int record_class; /* reference to the records' metatable in the registry */
  /* Pushes a record of the shape, a part among the views at index views. Aim it before its use. */
  void *(*push_record)(lua_State *L, int views, const shape *s);
  void (*aim_record)(void *record, const view *base, uint64_t offset);
  uint64_t size;
  int depth; /* 1, or more with structs inside */
  int count;
  field fields[];
};

/* Where a value is in the argument that Lua gave. Only an error makes text of it. */
typedef struct where {
  const struct where *outer; /* the struct around it, or NULL */
  const field *field;        /* whose value it is, or NULL */
  uint64_t index;            /* of the element or value, from 1; 0: all of it */
} where;

#pragma GCC visibility push(hidden)

/* Pushes the value of private bytes; a struct becomes a table. */
void element_push(lua_State *L, const element *e, const unsigned char *bytes);

/* Converts the value at index, which must not be negative, to an image, and sets the mask to 1 for
 * each byte that the value names. Raises what is wrong with the value, and where. */
void element_encode(lua_State *L, int index, const element *e, const where *w, unsigned char *image,
                    unsigned char *mask);

/* Raises that the value at index is not what was expected. */
int element_error(lua_State *L, int index, const where *w, const char *expected);

/* The same for the value of a field, which is one element or a table of them. outer: the struct
 * around it, or NULL. */
void field_encode(lua_State *L, int index, const field *f, const where *outer, unsigned char *image,
                  unsigned char *mask);
void field_push(lua_State *L, const field *f, const unsigned char *bytes);

/* Writes the bytes that the mask names to a mapping. */
void element_write(unsigned char *to, const unsigned char *image, const unsigned char *mask,
                   size_t size);

/* Pushes scratch memory for an image of size bytes and its mask, both zero. */
unsigned char *push_image(lua_State *L, size_t size, unsigned char **mask);

/* The shape at index, or NULL when something else is there. */
const shape *test_shape(lua_State *L, int index);

/* Is the value at index an array? */
extern const char array_tag;
static inline bool is_array(lua_State *L, int index) {
  return test_tag(L, index, &array_tag) != NULL;
}

#pragma GCC visibility pop

#endif
