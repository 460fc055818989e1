/* SPDX-License-Identifier: MIT */
/* What the userdata of all objects have in common.
 *
 * An object's user value is a table of its own: [1] the table of its segment's views, [2] the
 * segment or slice that it was opened on, [3] the guard of a lock, [4] the object, [5] the word
 * "abandoned", [6] and [7] a codec's functions, [8] private memory for messages. */
#ifndef SHMSEG_BINDING_OBJECT_H
#define SHMSEG_BINDING_OBJECT_H

#include "binding/view.h"

typedef struct object_class object_class;

/* The head of an object's userdata; the C handle follows. */
typedef struct {
  view view; /* the tag is the class */
  const object_class *class;
  const char *name; /* of its segment, which has it, also when it is closed; NULL for none */
  bool has_codec;
  bool owns_segment; /* close ends the segment too, which was opened for the object alone */
} object;

/* Private memory for messages; all zeroes to begin with. */
typedef struct {
  unsigned char *bytes; /* in the table that is the user value of its owner */
  size_t available;
} buffer;

struct object_class {
  const char *name; /* "shmseg.mutex" */
  size_t size;      /* of the userdata */
  int (*open)(object *o, shmseg_segment *segment, uint64_t offset, uint64_t available,
              shmseg_mode mode, uint64_t capacity, bool *created);
  void (*close)(object *o);
  shmseg_object *(*core)(object *o); /* the C handle's head */
  uint64_t (*size_for)(uint64_t capacity);
};

#pragma GCC visibility push(hidden)

/* The object at index 1; raises when it is none of the class. It may be closed. */
void *check_object(lua_State *L, const object_class *class);

/* Pushes `mutex "accounts"`, for messages. */
const char *push_object_subject(lua_State *L, const object *o);

/* Raises what err says of the object: `mutex "accounts": interrupted`. */
int object_raise(lua_State *L, const object *o, int err);

/* nil and a word for what is expected, nil, message, code for the world's failures; raises for
 * misuse. */
int push_object_failure(lua_State *L, const object *o, int err);

/* Pushes the guard of the lock at index 1, made at the first call: before the lock is taken. Its end
 * calls unlock, whatever that says. */
void push_guard(lua_State *L, object *o, void (*unlock)(object *o));

/* A lock's results, when the guard is at the top: it and perhaps "abandoned", or nil, "timeout"; all
 * other failures raise. Does not allocate when the lock was taken. */
int push_lock_result(lua_State *L, object *o, int err, bool abandoned);

/* The bytes of the value at arg, which a codec has replaced by what it makes of it. */
const char *check_value(lua_State *L, const object *o, int arg, size_t *size);

/* Replaces the string at the top by what the codec makes of it, if there is one. The object, or
 * whoever has its table as user value, is at index owner. */
void decode_value(lua_State *L, const object *o, int owner);

/* Gives the userdata at index 1 a buffer with room for so many bytes. */
void grow_buffer(lua_State *L, buffer *b, size_t available);

/* Pushes bytes of the buffer of the userdata at index 1 as a string. Finalizers may run meanwhile
 * and use its owner: the string is what was there before only if they did not. */
void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size);

/* Raises that the value at arg is larger than the capacity. */
int value_too_large(lua_State *L, object *o, int arg, size_t size);

/* Adds the class to the module's table, which is at the top, as a table { open, size_for, methods }
 * under that name. */
void binding_open_class(lua_State *L, const char *name, const object_class *class,
                        const luaL_Reg *methods);

#pragma GCC visibility pop

#endif
