/* SPDX-License-Identifier: MIT */
/* pack and unpack: the formats of Lua 5.4's string.pack, straight into and out of the mapping.
 *
 * Alignment ("!", "X") counts from the view's first byte, as string.unpack's does from the
 * string's: seg:unpack(o, f) equals string.unpack(f, seg:read(), o + 1). */
#include <string.h>

#include "binding/segment.h"

#define INTEGER_MAX 16 /* bytes of the longest integer, as in Lua's string.pack */
#define VALUE_SIZE 8   /* bytes of an integer value; before 5.3, too */

typedef enum {
  ITEM_SIGNED,
  ITEM_UNSIGNED,
  ITEM_FLOAT,
  ITEM_DOUBLE,
  ITEM_CHARS,  /* c: a string of fixed size */
  ITEM_STRING, /* s: a string after its length */
  ITEM_ZERO,   /* z: a string before a zero */
  ITEM_BYTE,   /* x: a byte of padding */
  ITEM_ALIGN,  /* X: padding to an alignment */
  ITEM_NONE    /* an option that only changes the state */
} item_type;

typedef struct {
  uint64_t size;         /* of the value; for strings, of their length */
  unsigned char type;    /* an item_type */
  unsigned char padding; /* bytes before it. An item is small enough for two registers */
} item;

typedef struct {
  lua_State *L;
  int arg; /* where the format stands */
  const char *next;
  uint64_t max_align;
  bool little;
  bool has_cdata; /* among the values that were checked */
} format;

typedef union {
  char c;
  double d;
  void *p;
  int64_t i;
  long l;
} most_aligned;

struct alignment {
  char c;
  most_aligned u;
};

static bool native_is_little(void) {
  const uint16_t one = 1;
  unsigned char first;
  memcpy(&first, &one, 1);
  return first == 1;
}

static format check_format(lua_State *L, int arg) {
  format f = { L, arg, luaL_checkstring(L, arg), 1, native_is_little(), false };
  return f;
}

/* --- parsing ------------------------------------------------------------------------------ */

static bool is_digit(char c) {
  return (unsigned char)(c - '0') < 10;
}

/* The number whose digits follow; or otherwise, when no digit does. */
static uint64_t opt_number(format *f, uint64_t otherwise) {
  uint64_t n = 0;
  if (!is_digit(*f->next))
    return otherwise;
  while (is_digit(*f->next) && n <= (INT64_MAX - 9) / 10)
    n = n * 10 + (uint64_t)(*f->next++ - '0');
  return n;
}

static uint64_t integer_size(format *f, uint64_t otherwise) {
  uint64_t size = opt_number(f, otherwise);
  if (size < 1 || size > INTEGER_MAX)
    luaL_argerror(f->L, f->arg, "integral size out of limits [1,16]");
  return size;
}

static item read_option(format *f) {
  item it = { 0, ITEM_NONE, 0 };
  char option = *f->next++;
  switch (option) {
  case 'b': it.type = ITEM_SIGNED, it.size = 1; break;
  case 'B': it.type = ITEM_UNSIGNED, it.size = 1; break;
  case 'h': it.type = ITEM_SIGNED, it.size = sizeof(short); break;
  case 'H': it.type = ITEM_UNSIGNED, it.size = sizeof(short); break;
  case 'i': it.type = ITEM_SIGNED, it.size = integer_size(f, sizeof(int)); break;
  case 'I': it.type = ITEM_UNSIGNED, it.size = integer_size(f, sizeof(int)); break;
  case 'l': it.type = ITEM_SIGNED, it.size = sizeof(long); break;
  case 'L': it.type = ITEM_UNSIGNED, it.size = sizeof(long); break;
  case 'j': it.type = ITEM_SIGNED, it.size = VALUE_SIZE; break;
  case 'J': it.type = ITEM_UNSIGNED, it.size = VALUE_SIZE; break;
  case 'T': it.type = ITEM_UNSIGNED, it.size = sizeof(size_t); break;
  case 'f': it.type = ITEM_FLOAT, it.size = sizeof(float); break;
  case 'n':
  case 'd': it.type = ITEM_DOUBLE, it.size = sizeof(double); break;
  case 's': it.type = ITEM_STRING, it.size = integer_size(f, sizeof(size_t)); break;
  case 'c':
    it.type = ITEM_CHARS;
    it.size = opt_number(f, UINT64_MAX);
    if (it.size == UINT64_MAX)
      luaL_argerror(f->L, f->arg, "missing size for format option 'c'");
    break;
  case 'z': it.type = ITEM_ZERO; break;
  case 'x': it.type = ITEM_BYTE, it.size = 1; break;
  case 'X': it.type = ITEM_ALIGN; break;
  case ' ': break;
  case '<': f->little = true; break;
  case '>': f->little = false; break;
  case '=': f->little = native_is_little(); break;
  case '!': f->max_align = integer_size(f, offsetof(struct alignment, u)); break;
  default: luaL_error(f->L, "invalid format option '%c'", option);
  }
  return it;
}

/* The alignment of the item in bytes; 0 for an item that has none. */
static uint64_t alignment_of(format *f, item it) {
  if (it.type <= ITEM_DOUBLE || it.type == ITEM_STRING)
    return it.size;
  if (it.type != ITEM_ALIGN)
    return 0;
  item next = { 0, ITEM_NONE, 0 };
  if (*f->next != '\0')
    next = read_option(f); /* only its alignment counts: no value belongs to it */
  if (next.type == ITEM_CHARS || next.size == 0)
    luaL_argerror(f->L, f->arg, "invalid next option for option 'X'");
  return next.size;
}

/* The next item of the format, which would begin at position. */
static item next_item(format *f, uint64_t position) {
  item it = read_option(f);
  if (f->max_align == 1 && it.type != ITEM_ALIGN)
    return it;
  uint64_t align = alignment_of(f, it);
  if (align > f->max_align)
    align = f->max_align;
  if (align > 1) {
    if (align & (align - 1))
      luaL_argerror(f->L, f->arg, "format asks for alignment not power of 2");
    it.padding = (unsigned char)((align - (position & (align - 1))) & (align - 1));
  }
  return it;
}

/* --- packing ------------------------------------------------------------------------------ */

static bool takes_argument(item_type type) {
  return type < ITEM_BYTE;
}

static void check_fits(lua_State *L, int arg, item it, uint64_t bits) {
  unsigned width = (unsigned)it.size * 8;
  if (it.type == ITEM_UNSIGNED) {
    luaL_argcheck(L, bits >> width == 0, arg, "unsigned overflow");
  } else {
    int64_t n = (int64_t)bits, limit = (int64_t)1 << (width - 1);
    luaL_argcheck(L, n >= -limit && n < limit, arg, "integer overflow");
  }
}

static uint64_t check_packed_integer(format *f, int arg, item it) {
  lua_State *L = f->L;
  int exact;
  uint64_t bits =
      it.type == ITEM_UNSIGNED ? to_uint64(L, arg, &exact) : (uint64_t)to_integer(L, arg, &exact);
  if (!exact)
    integer_error(L, arg);
  f->has_cdata |= exact == FROM_CDATA;
  if (it.size < VALUE_SIZE)
    check_fits(L, arg, it, bits);
  return bits;
}

static lua_Number check_packed_number(format *f, int arg) {
  int exact;
  lua_Number n = to_number(f->L, arg, &exact);
  if (!exact)
    check_is_number(f->L, arg);
  f->has_cdata |= exact == FROM_CDATA;
  return n;
}

/* Converts and checks the argument of the item. Returns how many bytes the item will take. */
static uint64_t check_item(format *f, int arg, item it) {
  lua_State *L = f->L;
  size_t length;
  const char *s;
  switch (it.type) {
  case ITEM_SIGNED:
  case ITEM_UNSIGNED: check_packed_integer(f, arg, it); return it.size;
  case ITEM_FLOAT:
  case ITEM_DOUBLE: check_packed_number(f, arg); return it.size;
  case ITEM_CHARS:
    luaL_checklstring(L, arg, &length);
    luaL_argcheck(L, length <= it.size, arg, "string longer than given size");
    return it.size;
  case ITEM_STRING:
    luaL_checklstring(L, arg, &length);
    luaL_argcheck(L, it.size >= sizeof length || length >> (it.size * 8) == 0, arg,
                  "string length does not fit in given size");
    return it.size + length;
  case ITEM_ZERO:
    s = luaL_checklstring(L, arg, &length);
    luaL_argcheck(L, strlen(s) == length, arg, "string contains zeros");
    return length + 1;
  default: return it.size;
  }
}

static void write_integer(unsigned char *to, uint64_t bits, uint64_t size, bool little,
                          bool negative) {
  for (uint64_t i = 0; i < size; i++) {
    unsigned char byte = negative ? 0xff : 0;
    if (i < VALUE_SIZE)
      byte = (unsigned char)(bits >> (8 * i));
    to[little ? i : size - 1 - i] = byte;
  }
}

static void write_float(unsigned char *to, const void *value, size_t size, bool little) {
  const unsigned char *from = value;
  for (size_t i = 0; i < size; i++)
    to[little == native_is_little() ? i : size - 1 - i] = from[i];
}

/* Writes an item whose argument is checked. It cannot raise or run Lua code, unless the argument is
 * cdata. */
static void write_item(format *f, int arg, item it, unsigned char *to, uint64_t size) {
  size_t length = 0;
  const char *s = NULL;
  if (it.type == ITEM_CHARS || it.type == ITEM_STRING || it.type == ITEM_ZERO)
    s = lua_tolstring(f->L, arg, &length);
  switch (it.type) {
  case ITEM_SIGNED:
  case ITEM_UNSIGNED: {
    uint64_t bits = check_packed_integer(f, arg, it);
    write_integer(to, bits, it.size, f->little, it.type == ITEM_SIGNED && (int64_t)bits < 0);
    break;
  }
  case ITEM_FLOAT: {
    float n = (float)check_packed_number(f, arg);
    write_float(to, &n, sizeof n, f->little);
    break;
  }
  case ITEM_DOUBLE: {
    double n = check_packed_number(f, arg);
    write_float(to, &n, sizeof n, f->little);
    break;
  }
  case ITEM_STRING:
    write_integer(to, length, it.size, f->little, false);
    memcpy(to + it.size, s, length);
    break;
  case ITEM_CHARS:
  case ITEM_ZERO:
    memcpy(to, s, length);
    memset(to + length, 0, (size_t)size - length);
    break;
  case ITEM_BYTE: *to = 0; break;
  default: break;
  }
}

/* How many bytes the whole call takes. Converts and checks every argument. */
static uint64_t measure(lua_State *L, uint64_t offset, bool *has_cdata) {
  format f = check_format(L, 3);
  int arg = 3;
  uint64_t position = offset;
  while (*f.next != '\0') {
    item it = next_item(&f, position);
    uint64_t size = it.padding + check_item(&f, takes_argument(it.type) ? ++arg : 0, it);
    luaL_argcheck(L, size <= INT64_MAX && position - offset <= INT64_MAX - size, 3,
                  "format result too large");
    position += size;
  }
  *has_cdata = f.has_cdata;
  return position - offset;
}

/* Writes all items to the bytes at to, which are at offset in the view. */
static void write_items(lua_State *L, uint64_t offset, unsigned char *to) {
  format f = check_format(L, 3);
  int arg = 3;
  uint64_t position = offset;
  while (*f.next != '\0') {
    item it = next_item(&f, position);
    arg += takes_argument(it.type);
    /* the size of a string item is not kept, so its argument is asked again */
    uint64_t size = it.type <= ITEM_DOUBLE ? it.size : check_item(&f, arg, it);
    if (it.padding > 0)
      memset(to + (position - offset), 0, (size_t)it.padding);
    position += it.padding;
    write_item(&f, arg, it, to + (position - offset), size);
    position += size;
  }
}

/* pack(offset, format, ...) -> next offset */
static int segment_pack(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  bool has_cdata;
  uint64_t total = measure(L, offset, &has_cdata);
  unsigned char *image = NULL;
  check_writable(L, v);
  unsigned char *to = check_bytes(L, v, 2, offset, total);
  if (has_cdata) { /* to convert it may run Lua code, so this writes to private memory first */
    image = lua_newuserdata(L, (size_t)total);
    write_items(L, offset, image);
    check_writable(L, v);
    to = check_bytes(L, v, 2, offset, total);
    memcpy(to, image, (size_t)total);
  } else {
    write_items(L, offset, to);
  }
  push_uint64(L, offset + total);
  return view_finish(L, v, 1);
}

/* --- unpacking ---------------------------------------------------------------------------- */

/* The value of an integer's bytes. Bytes beyond the eighth must repeat the sign, or be zero. */
static uint64_t integer_of(lua_State *L, const unsigned char *from, item it, bool little) {
  uint64_t bits = 0;
  uint64_t size = it.size;
  if (size == 4 && little == native_is_little()) {
    uint32_t n;
    memcpy(&n, from, sizeof n);
    return it.type == ITEM_SIGNED ? (uint64_t)(int64_t)(int32_t)n : n;
  }
  if (size == 8 && little == native_is_little()) {
    memcpy(&bits, from, sizeof bits);
    return bits;
  }
  uint64_t low = size < VALUE_SIZE ? size : VALUE_SIZE;
  for (uint64_t i = low; i-- > 0;)
    bits = bits << 8 | from[little ? i : size - 1 - i];
  if (size > 0 && size < VALUE_SIZE && it.type == ITEM_SIGNED) {
    uint64_t sign = (uint64_t)1 << (size * 8 - 1);
    bits = (bits ^ sign) - sign;
  }
  unsigned char rest = it.type == ITEM_SIGNED && (int64_t)bits < 0 ? 0xff : 0;
  for (uint64_t i = VALUE_SIZE; i < size; i++)
    if (from[little ? i : size - 1 - i] != rest)
      luaL_error(L, "%d-byte integer does not fit into Lua Integer", (int)size);
  return bits;
}

/* Copies an item's bytes to private memory: a peer may change the shared ones between two reads. */
static const unsigned char *fetch_item(lua_State *L, const view *v, uint64_t position,
                                       uint64_t size, unsigned char *copy) {
  const unsigned char *from = check_bytes(L, v, 2, position, size);
  if (size == 4)
    memcpy(copy, from, 4);
  else if (size == 8)
    memcpy(copy, from, 8);
  else
    memcpy(copy, from, (size_t)size);
  return copy;
}

/* Pushes the item's value, if it has one. Returns how many bytes the item takes. */
static uint64_t push_item(format *f, const view *v, uint64_t position, item it) {
  lua_State *L = f->L;
  unsigned char copy[INTEGER_MAX];
  if (it.type <= ITEM_DOUBLE || it.type == ITEM_STRING)
    fetch_item(L, v, position, it.size, copy);
  switch (it.type) {
  case ITEM_SIGNED: push_int64(L, (int64_t)integer_of(L, copy, it, f->little)); break;
  case ITEM_UNSIGNED: push_uint64(L, integer_of(L, copy, it, f->little)); break;
  case ITEM_FLOAT: {
    float n;
    write_float((unsigned char *)&n, copy, sizeof n, f->little);
    lua_pushnumber(L, n);
    break;
  }
  case ITEM_DOUBLE: {
    double n;
    write_float((unsigned char *)&n, copy, sizeof n, f->little);
    lua_pushnumber(L, n);
    break;
  }
  case ITEM_STRING: {
    uint64_t length = integer_of(L, copy, it, f->little);
    check_bytes(L, v, 2, position + it.size, length);
    push_bytes(L, v, 2, position + it.size, (size_t)length);
    return it.size + length;
  }
  case ITEM_CHARS:
    check_bytes(L, v, 2, position, it.size);
    push_bytes(L, v, 2, position, (size_t)it.size);
    break;
  case ITEM_ZERO: {
    const unsigned char *from = check_bytes(L, v, 2, position, 0);
    uint64_t rest = view_limit(v) - position;
    const unsigned char *end = rest > 0 ? memchr(from, 0, (size_t)rest) : NULL;
    if (!end)
      luaL_argerror(L, f->arg, "unfinished string for format 'z'");
    push_bytes(L, v, 2, position, (size_t)(end - from));
    return (uint64_t)(end - from) + 1;
  }
  default: check_bytes(L, v, 2, position, it.size); break;
  }
  return it.size;
}

/* unpack(offset, format) -> values..., next offset */
static int segment_unpack(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t position = check_size(L, 2);
  format f = check_format(L, 3);
  int results = 1;
  check_bytes(L, v, 2, position, 0);
  while (*f.next != '\0') {
    item it = next_item(&f, position);
    if (it.type == ITEM_NONE)
      continue;
    if (it.padding > 0)
      check_bytes(L, v, 2, position, it.padding);
    position += it.padding;
    if (results > LUA_MINSTACK - 3) /* every C function has LUA_MINSTACK slots */
      luaL_checkstack(L, 3, "too many results");
    position += push_item(&f, v, position, it);
    results += takes_argument(it.type);
  }
  check_open(L, v); /* making a string may have run a finalizer that closed it */
  push_uint64(L, position);
  return view_finish(L, v, results);
}

const luaL_Reg segment_pack_methods[] = {
  { "pack", segment_pack },
  { "unpack", segment_unpack },
  { NULL, NULL },
};
