/* SPDX-License-Identifier: MIT */
/* What the userdata of all kinds of objects have in common: opening, closing, failures.
 *
 * An object's user value is a table of its own: [1] the table of its segment's views, [2] the
 * segment or slice that it was opened on, [3] the guard of a lock, [4] the object, [5] the word
 * "abandoned", [6] and [7] a codec's functions, [8] private memory for messages, [9] the keys of a
 * dict that are being updated, [10] and all behind it what a dict keeps of values. */
#ifndef SHMSEG_BINDING_OBJECT_H
#define SHMSEG_BINDING_OBJECT_H

#include "binding/view.h"
#include "objects/kinds.h"

struct object;

/* The class of a kind's userdata. Its address is their tag. */
typedef struct {
  const shmseg_kind *kind;
  const char *name; /* "shmseg.mutex" */
  size_t size;      /* of the userdata: an object, the handle, and what the binding needs */
  void (*end)(struct object *o); /* ends what the binding has begun, before it is closed; or NULL */
} object_class;

/* The head of an object's userdata; the C handle follows. */
typedef struct object {
  view view; /* the tag is the class */
  const object_class *class;
  const char *name; /* of the segment, which keeps it also when it is closed; NULL: it has none */
  bool has_codec;
  bool owns_segment; /* the segment was opened for this object alone, and is closed with it */
} object;

/* Keys of an object's own table. */
enum {
  OBJECT_VIEWS = 1,
  OBJECT_WHERE = 2,
  OBJECT_GUARD = 3,
  OBJECT_SELF = 4,
  OBJECT_ABANDONED = 5,
  OBJECT_ENCODE = 6,
  OBJECT_DECODE = 7,
  OBJECT_BUFFER = 8,
  OBJECT_CACHE = 9 /* and behind it */
};

_Static_assert(sizeof(object) % _Alignof(shmseg_object) == 0, "the handle follows without a gap");

/* The C handle of an object. */
static inline shmseg_object *object_handle(object *o) {
  return (shmseg_object *)(o + 1);
}

#pragma GCC visibility push(hidden)

extern const object_class broadcast_class, cell_class, dict_class, queue_class;

/* The object at index 1, which may be closed. Raises when it is not of the class. */
static inline void *check_object(lua_State *L, const object_class *class) {
  void *o = test_tag(L, 1, class);
  return o ? o : type_error(L, 1, class->name);
}

/* Pushes `mutex "accounts"`, for messages. */
const char *push_object_subject(lua_State *L, const object *o);

/* Raises err with the object's name: `mutex "accounts": interrupted`. */
int object_raise(lua_State *L, const object *o, int err);

/* nil, word, word for an outcome that is expected; nil, message, code for other failures. Raises when
 * err says that the caller used the object wrongly. */
int push_object_failure(lua_State *L, const object *o, int err);

/* nil, word for a failure: of a kind whose second result is the word. Raises misuse. */
int push_object_word(lua_State *L, const object *o, int err);

/* true, or what push_object_failure() says of err. */
static inline int push_object_done(lua_State *L, const object *o, int err) {
  if (err)
    return push_object_failure(L, o, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* Adds the class to the module's table, which is at the top: under the kind's name, a table { open,
 * open_named, size_for, check, inspect, numbers, words, methods }. */
void binding_open_class(lua_State *L, const object_class *class, const luaL_Reg *methods);

#pragma GCC visibility pop

#endif
