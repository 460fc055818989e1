/* SPDX-License-Identifier: MIT */
/* Values and messages: their strings, what a codec makes of those, and the private memory that they
 * go through. */
#ifndef SHMSEG_BINDING_VALUE_H
#define SHMSEG_BINDING_VALUE_H

#include "binding/object.h"

/* Private memory for messages; all zeroes to begin with. */
typedef struct {
  unsigned char *bytes; /* of a userdata that the owner's own table keeps alive */
  size_t available;
} buffer;

#pragma GCC visibility push(hidden)

/* The bytes of the value at arg. With a codec, the value is replaced by what encode makes of it. */
const char *check_value(lua_State *L, const object *o, int arg, size_t *size);

/* With a codec, replaces the string at the top by what decode makes of it. The object is at index
 * owner. */
void decode_value(lua_State *L, const object *o, int owner);

/* Pushes, as a string, bytes that a peer may change meanwhile; they are copied once. It is the
 * value only if a check after this call says so. Finalizers may run after the copy, and close the
 * handle. Where the bytes have to go through a buffer it pushes nothing and returns false. */
bool push_shared(lua_State *L, const unsigned char *bytes, size_t size);

/* Gives the userdata at index 1 a new buffer of size bytes in place of b. */
void grow_buffer(lua_State *L, buffer *b, size_t size);

/* Pushes bytes of the buffer of the userdata at index 1 as a string. Finalizers may run meanwhile
 * and use that userdata; the caller has to find out whether they changed the buffer. */
void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size);

/* Raises that the value at arg is larger than the capacity. */
int value_too_large(lua_State *L, object *o, int arg, size_t size);

#pragma GCC visibility pop

#endif
