/* SPDX-License-Identifier: MIT */
/* dump: a segment's bytes as hexdump -C prints them. */
#include <stdio.h>
#include <string.h>

#include "binding/segment.h"

#define LINE 16
#define TEXT 96 /* bytes for the text of a line: 79 characters, and up to 8 more beyond 4 GiB */

static void format_line(char *text, uint64_t offset, const unsigned char *bytes, size_t count) {
  text += sprintf(text, "%08llx  ", (unsigned long long)offset);
  for (size_t i = 0; i < LINE; i++) {
    text += i < count ? sprintf(text, "%02x ", bytes[i]) : sprintf(text, "   ");
    if (i == LINE / 2 - 1)
      *text++ = ' ';
  }
  text += sprintf(text, " |");
  for (size_t i = 0; i < count; i++)
    text += sprintf(text, "%c", bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
  sprintf(text, "|\n");
}

/* dump([offset [, count]]) -> text; full lines that repeat the one before are one "*" */
static int segment_dump(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset, count;
  char text[TEXT];
  unsigned char last[LINE], bytes[LINE];
  bool starred = false;
  luaL_Buffer buffer;
  check_span(L, v, 2, &offset, &count);
  lua_settop(L, 3);
  luaL_buffinit(L, &buffer);
  for (uint64_t at = 0; at < count; at += LINE) {
    size_t size = count - at < LINE ? (size_t)(count - at) : LINE;
    /* when the buffer grows, finalizers may run: so the range is checked for each line */
    memcpy(bytes, check_bytes(L, v, 2, offset + at, size), size);
    if (at > 0 && size == LINE && memcmp(bytes, last, LINE) == 0) {
      if (!starred)
        luaL_addstring(&buffer, "*\n");
      starred = true;
      continue;
    }
    format_line(text, offset + at, bytes, size);
    luaL_addstring(&buffer, text);
    memcpy(last, bytes, size);
    starred = false;
  }
  snprintf(text, sizeof text, "%08llx\n", (unsigned long long)offset + count);
  luaL_addstring(&buffer, text);
  luaL_pushresult(&buffer);
  check_open(L, v);
  return view_finish(L, v, 1);
}

const luaL_Reg segment_dump_methods[] = { { "dump", segment_dump }, { NULL, NULL } };
