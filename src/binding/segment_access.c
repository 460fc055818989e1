/* SPDX-License-Identifier: MIT */
/* The segment's bytes: read, write, fill, copy, compare, find, flush, advise.
 *
 * Each method converts its arguments, which may run Lua code; then checks the handle and the range; then
 * touches memory; and then asks whether the memory was there (view_finish). */
#define _GNU_SOURCE
#include "binding/segment.h"

#include <string.h>

#include "os/map.h"

/* Bytes that are compared at a time. */
#define COMPARE_PIECE 4096

/* Bytes that are moved at a time between two mappings of one backing. */
#define MOVE_PIECE 4096

/* Pushes a string that will be interned, by way of private memory (view.h says why). */
static inline void push_short(lua_State *L, const unsigned char *source, size_t count) {
  char bytes[INTERNED_MAX];
  if (count > 0)
    memcpy(bytes, source, count);
  lua_pushlstring(L, bytes, count);
}

void push_bytes(lua_State *L, const view *v, int arg, uint64_t offset, size_t count) {
  const unsigned char *source = check_bytes(L, v, arg, offset, count);
  if (count <= INTERNED_MAX) {
    push_short(L, source, count);
    return;
  }
#if MAY_COPY_SHARED
  lua_pushlstring(L, (const char *)source, count);
#else
  void *copy = lua_newuserdata(L, count); /* may run finalizers, which may close the segment */
  memcpy(copy, check_bytes(L, v, arg, offset, count), count);
  lua_pushlstring(L, copy, count);
  lua_remove(L, -2);
#endif
}

/* read([offset [, count]]) -> string */
static int segment_read(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset, count;
  const unsigned char *bytes = check_span(L, v, 2, &offset, &count);
  if (count <= INTERNED_MAX)
    push_short(L, bytes, (size_t)count);
  else
    push_bytes(L, v, 2, offset, (size_t)count);
  if (view_is_closed(v))
    check_open(L, v); /* making the string may have run a finalizer that closed it */
  return view_finish(L, v, 1);
}

/* write(offset, data) -> next offset */
static int segment_write(lua_State *L) {
  view *v = check_view(L, 1);
  size_t count;
  uint64_t offset = check_size(L, 2);
  const char *data = luaL_checklstring(L, 3, &count);
  check_writable(L, v);
  unsigned char *bytes = check_bytes(L, v, 2, offset, count);
  if (count > 0)
    memcpy(bytes, data, count);
  push_uint64(L, offset + count);
  return view_finish(L, v, 1);
}

/* fill(offset, count [, byte]) -> next offset */
static int segment_fill(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  uint64_t count = check_size(L, 3);
  int64_t byte = lua_isnoneornil(L, 4) ? 0 : check_integer(L, 4);
  luaL_argcheck(L, byte >= 0 && byte <= UINT8_MAX, 4, "not a byte (0 to 255)");
  check_writable(L, v);
  unsigned char *bytes = check_bytes(L, v, 2, offset, count);
  if (count > 0)
    memset(bytes, (int)byte, (size_t)count);
  push_uint64(L, offset + count);
  return view_finish(L, v, 1);
}

/* Are these two mappings of one backing? On an overlay file system device and inode can be equal
 * although the bytes are different ones. */
static bool same_object(const view *a, const view *b) {
  return a->segment != b->segment && a->segment->identity.device == b->segment->identity.device &&
         a->segment->identity.inode == b->segment->identity.inode;
}

/* memmove for ranges whose addresses do not tell whether they overlap: piece by piece through private
 * memory, and from the end when the bytes move up. */
static void move_pieces(unsigned char *to, const unsigned char *from, size_t count, bool up) {
  unsigned char piece[MOVE_PIECE];
  for (size_t done = 0; done < count;) {
    size_t size = count - done < sizeof piece ? count - done : sizeof piece;
    size_t at = up ? count - done - size : done;
    memcpy(piece, from + at, size);
    /* The compiler must not make one memmove of the two: that sees two addresses and no overlap. */
    __asm__ volatile("" : : "r"(piece) : "memory");
    memcpy(to + at, piece, size);
    done += size;
  }
}

void move_bytes(const view *to, uint64_t offset, const view *from, uint64_t source, size_t count) {
  unsigned char *output = to->segment->data + to->offset + offset;
  const unsigned char *input = from->segment->data + from->offset + source;
  if (same_object(to, from))
    move_pieces(output, input, count,
                to->segment->window + to->offset + offset >
                    from->segment->window + from->offset + source);
  else if (count > 0)
    memmove(output, input, count);
}

/* copy(offset, source [, from [, count]]) -> next offset; ranges may overlap */
static int segment_copy(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  view *source = check_view(L, 3);
  uint64_t from, count;
  check_writable(L, v);
  check_span(L, source, 4, &from, &count);
  check_bytes(L, v, 2, offset, count);
  move_bytes(v, offset, source, from, (size_t)count);
  push_uint64(L, offset + count);
  int err = view_status(source);
  return err ? push_view_failure(L, source, err) : view_finish(L, v, 1);
}

/* Returns -1, 0 or 1, and in *at the offset of the first difference. Bytes that a peer makes equal
 * before they are read again are counted as equal. */
static int compare(const volatile unsigned char *a, const volatile unsigned char *b, size_t count,
                   size_t *at) {
  for (size_t piece = 0; piece < count; piece += COMPARE_PIECE) {
    size_t size = count - piece < COMPARE_PIECE ? count - piece : COMPARE_PIECE;
    if (memcmp((const void *)(a + piece), (const void *)(b + piece), size) == 0)
      continue;
    for (*at = piece; *at < piece + size; ++*at) {
      unsigned char left = a[*at], right = b[*at];
      if (left != right)
        return left < right ? -1 : 1;
    }
  }
  return 0;
}

/* compare(offset, string | segment) -> -1 | 0 | 1, offset of the first difference */
static int segment_compare(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  view *source = test_view(L, 3);
  size_t count, at;
  const unsigned char *other;
  if (source) {
    check_open(L, source);
    count = (size_t)view_limit(source);
    other = check_bytes(L, source, 3, 0, count);
  } else {
    other = (const unsigned char *)luaL_checklstring(L, 3, &count);
  }
  const unsigned char *own = check_bytes(L, v, 2, offset, count);
  int order = compare(own, other, count, &at);
  if (source && view_status(source) != 0)
    return push_view_failure(L, source, view_status(source));
  lua_pushinteger(L, order);
  if (order == 0)
    return view_finish(L, v, 1);
  push_uint64(L, offset + at);
  return view_finish(L, v, 2);
}

/* Starts of a needle that are looked at together, from the end backwards: so many at first, and twice as
 * many each time, up to the other number; or as many as the needle has bytes. */
#define LAST_FIRST ((size_t)256)
#define LAST_MOST ((size_t)65536)

/* The last place where memmem finds the needle, when it is at first; end: one behind its last start. Each
 * round halves what is left. */
static const unsigned char *last_of(const unsigned char *first, const unsigned char *end,
                                    const char *wanted, size_t length) {
  while (first + 1 < end) {
    const unsigned char *middle = first + 1 + (end - first - 1) / 2;
    const unsigned char *found =
        memmem(middle, (size_t)(end - middle) + length - 1, wanted, length);
    if (found)
      first = found;
    else
      end = middle;
  }
  return first;
}

/* memmem from the end; length and count are not 0. No needle makes it look at a byte more than a few
 * times. */
static const unsigned char *find_last(const unsigned char *bytes, size_t count, const char *wanted,
                                      size_t length) {
  size_t most = length > LAST_MOST ? length : LAST_MOST;
  size_t piece = length > LAST_FIRST ? length : LAST_FIRST;
  size_t starts = count < length ? 0 : count - length + 1;
  while (starts > 0) {
    size_t size = starts < piece ? starts : piece;
    const unsigned char *from = bytes + starts - size;
    const unsigned char *found = memmem(from, size + length - 1, wanted, length);
    if (found)
      return last_of(found, from + size, wanted, length);
    starts -= size;
    piece = piece < most / 2 ? 2 * piece : most;
  }
  return NULL;
}

/* rfind(bytes [, offset [, count]]) -> offset of the last place | nil */
static int segment_rfind(lua_State *L) {
  view *v = check_view(L, 1);
  size_t length;
  const char *wanted = luaL_checklstring(L, 2, &length);
  uint64_t offset, count;
  const unsigned char *bytes = check_span(L, v, 3, &offset, &count);
  const unsigned char *found =
      length == 0 || count == 0 ? NULL : find_last(bytes, (size_t)count, wanted, length);
  if (length == 0)
    push_uint64(L, offset + count);
  else if (found)
    push_uint64(L, offset + (uint64_t)(found - bytes));
  else
    lua_pushnil(L);
  return view_finish(L, v, 1);
}

/* find(bytes [, offset [, count]]) -> offset | nil */
static int segment_find(lua_State *L) {
  view *v = check_view(L, 1);
  size_t length;
  const char *wanted = luaL_checklstring(L, 2, &length);
  uint64_t offset, count;
  const unsigned char *bytes = check_span(L, v, 3, &offset, &count);
  const unsigned char *found =
      count == 0 ? (length == 0 ? bytes : NULL) : memmem(bytes, (size_t)count, wanted, length);
  bool is_found = length == 0 || found;
  if (is_found)
    push_uint64(L, length == 0 ? offset : offset + (uint64_t)(found - bytes));
  else
    lua_pushnil(L);
  return view_finish(L, v, 1);
}

/* flush([offset [, count]]) -> true */
static int segment_flush(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset, count;
  check_span(L, v, 2, &offset, &count);
  check_shared(L, v);
  int err = shmseg_segment_flush(v->segment, (size_t)(v->offset + offset), (size_t)count);
  return push_view_done(L, v, err);
}

/* advise(hint) -> true | nil, message, code; of a slice, for all pages that it has bytes on */
static int segment_advise(lua_State *L) {
  view *v = check_view(L, 1);
  int hint = check_option(L, 2, shmseg_map_hints);
  check_open(L, v);
  uint64_t count = view_limit(v);
  unsigned char *bytes = check_bytes(L, v, 1, 0, count);
  size_t before = (size_t)((uintptr_t)bytes % shmseg_map_page());
  int err = count == 0 ? 0 : shmseg_map_advise(bytes - before, (size_t)count + before, hint);
  return push_view_done(L, v, err);
}

const luaL_Reg segment_access_methods[] = {
  { "advise", segment_advise }, { "compare", segment_compare },
  { "copy", segment_copy },     { "fill", segment_fill },
  { "find", segment_find },     { "flush", segment_flush },
  { "read", segment_read },     { "rfind", segment_rfind },
  { "write", segment_write },   { NULL, NULL },
};
