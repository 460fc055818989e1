/* SPDX-License-Identifier: MIT */
/* Messages of a ring on their way to Lua, one or a list of them. */
#include "binding/ring.h"

/* Bytes of the first private buffer. */
#define BUFFER_MIN 1024

int push_copied(lua_State *L, ring_reader *reader, size_t size, ring_copy *copy, void *context) {
  for (;;) {
    if (reader->buffer.available <= size)
      grow_buffer(L, &reader->buffer, size + size / 2 + BUFFER_MIN);
    int err = copy(context, reader->buffer.bytes);
    if (err)
      return err;
    uint64_t copies = ++reader->copies;
    push_buffered(L, &reader->buffer, 0, size);
    if (reader->copies == copies) /* else a finalizer has copied another message over it */
      return 0;
    lua_pop(L, 1);
  }
}

size_t listed_size(lua_State *L, int n) {
  lua_rawgeti(L, LIST, n);
  size_t size = lua_rawlen(L, -1);
  lua_pop(L, 1);
  return size;
}

void drop_first(lua_State *L, int index, int dropped, int count) {
  for (int n = 1; dropped > 0 && n <= count; n++) {
    if (n + dropped <= count)
      lua_rawgeti(L, index, n + dropped);
    else
      lua_pushnil(L);
    lua_rawseti(L, index, n);
  }
}
