/* SPDX-License-Identifier: MIT */
/* Values and messages: the strings that they are, what a codec makes of them, and the private memory
 * that they go through. */
#ifndef SHMSEG_BINDING_VALUE_H
#define SHMSEG_BINDING_VALUE_H

#include "binding/object.h"

/* Private memory for messages; all zeroes to begin with. */
typedef struct {
  unsigned char *bytes; /* in the table that is the user value of its owner */
  size_t available;
} buffer;

#pragma GCC visibility push(hidden)

/* The bytes of the value at arg, which a codec has replaced by what it makes of it. */
const char *check_value(lua_State *L, const object *o, int arg, size_t *size);

/* Replaces the string at the top by what the codec makes of it, if there is one. The object, or
 * whoever has its table as user value, is at index owner. */
void decode_value(lua_State *L, const object *o, int owner);

/* Pushes bytes that a peer may change meanwhile as a string, in one copy. False, and nothing is
 * pushed, where they have to go through a buffer. What was pushed is the value only if a look
 * afterwards says so. Finalizers may run behind the copy, and close the handle. */
bool push_shared(lua_State *L, const unsigned char *bytes, size_t size);

/* Gives the userdata at index 1 a buffer of so many bytes. */
void grow_buffer(lua_State *L, buffer *b, size_t size);

/* Pushes bytes of the buffer of the userdata at index 1 as a string. Finalizers may run meanwhile
 * and use its owner: the string is what was there before only if they did not. */
void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size);

/* Raises that the value at arg is larger than the capacity. */
int value_too_large(lua_State *L, object *o, int arg, size_t size);

#pragma GCC visibility pop

#endif
