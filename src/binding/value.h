/* SPDX-License-Identifier: MIT */
/* Values and messages: strings and bytes of segments, what a codec makes of them, and the private
 * memory that they go through.
 *
 * A value is converted once, by check_value() or check_list(). Where its bytes are is asked anew at
 * each try of a wait, by value_at() or list_at(): hooks run between two tries, and may close or
 * resize the segment. target_at() does both for a place that bytes are copied into. */
#ifndef SHMSEG_BINDING_VALUE_H
#define SHMSEG_BINDING_VALUE_H

#include "binding/object.h"

/* Private memory for messages; all zeroes to begin with. */
typedef struct {
  unsigned char *bytes; /* of a userdata that the owner's own table keeps alive */
  size_t available;
} buffer;

/* Bytes of a segment or slice that a message or value is copied into. */
typedef struct {
  unsigned char *bytes;
  size_t available;
  const shmseg_segment *segment;
} target;

#pragma GCC visibility push(hidden)

/* check_value() of what is no string, or goes through a codec. */
void check_value_anew(lua_State *L, const object *o, int arg);

/* Raises unless a string, a number (which becomes a string), a segment or a slice is at arg. With a
 * codec, what is there is first replaced by what encode makes of it, a string. A segment or slice
 * must be open, and must not overlap the object through the same segment handle. */
static inline void check_value(lua_State *L, const object *o, int arg) {
  if (o->has_codec || lua_type(L, arg) != LUA_TSTRING)
    check_value_anew(L, o, arg);
}

/* Replaces the value at index, an absolute one, by what the codec of the object at index owner makes
 * of it, a string. The value is that element of a list, or none: 0. */
void encode_value(lua_State *L, int owner, int index, int number);

/* value_at() of a segment or slice. */
shmseg_source view_at(lua_State *L, int arg);

/* Where the bytes of the checked value at arg are now. Raises when the segment or slice was closed.
 * Allocates nothing, and runs no Lua code. */
static inline shmseg_source value_at(lua_State *L, int arg) {
  shmseg_source value = { .segment = NULL };
  value.bytes = lua_tolstring(L, arg, &value.size);
  return value.bytes ? value : view_at(L, arg);
}

/* nil, message, code for a failure of the call that had the value, or the target, at arg: it tells
 * which segment was cut, that of the value or target or that of the object. Raises when the value is
 * larger than the capacity (EINVAL). */
int push_value_failure(lua_State *L, object *o, int arg, int err);

/* Replaces the table at arg by a new one, of its elements 1 to n, each checked as by check_value()
 * and none larger than the capacity. The errors name the element. Returns n, the table's raw length
 * at the beginning. *values is what list_at() would give for all of them, for the first try; NULL:
 * it has to be asked. */
size_t check_list(lua_State *L, object *o, int arg, buffer *b, shmseg_source **values);

/* Where the bytes of count elements of the checked list at arg are now, from number from + 1 on. They
 * stand in the buffer of the userdata at index 1, until that is used again. */
shmseg_source *list_at(lua_State *L, buffer *b, int arg, size_t from, size_t count);

/* push_value_failure() for the checked list at arg. A segment in the list that has grown over the
 * capacity since it was checked is a failure, and raises nothing: some may be pushed by then. */
int push_list_failure(lua_State *L, object *o, int arg, int err);

/* The segment or slice at arg, from the optional offset at arg + 1 on. Raises when it is closed,
 * read-only or too short, or overlaps the object through the same segment handle. */
target target_at(lua_State *L, const object *o, int arg);

/* nil, "too small" with these numbers: a message or value of size bytes, and what the target has. */
int push_target_too_small(lua_State *L, const object *o, size_t size, const target *t);

/* With a codec, replaces the string at the top by what decode makes of it. The object is at index
 * owner. */
void decode_value(lua_State *L, const object *o, int owner);

/* decode_value() of message n of a list, for a caller that takes messages after that. Returns
 * lua_pcall's status, with the value or the error at the top. An error that a second try does not
 * meet is not the message's but a hook's, as of Ctrl-C, or a passing one: it is raised. */
int decode_element(lua_State *L, const object *o, int owner, int list, int n);

/* Pushes, as a string, bytes that a peer may change meanwhile; they are copied once. It is the
 * value only if a check after this call says so. Finalizers may run after the copy, and close the
 * handle. Where the bytes have to go through a buffer it pushes nothing and returns false. */
bool push_shared(lua_State *L, const unsigned char *bytes, size_t size);

/* Gives the userdata at index 1 a new buffer of size bytes in place of b. */
void grow_buffer(lua_State *L, buffer *b, size_t size);

/* Pushes bytes of the buffer of the userdata at index 1 as a string. Finalizers may run meanwhile
 * and use that userdata; the caller has to find out whether they changed the buffer. */
void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size);

#pragma GCC visibility pop

#endif
