/* SPDX-License-Identifier: MIT */
/* Shared words as the scheduler sees them: bounds, flips, and the older values that C11 lets a load
 * read.
 *
 * With w.weak each word keeps its history. A store leaves a message: a value, a time, and a view
 * (what its writer had seen of every word, if the store releases or stands behind a release fence).
 * A load may read any message that is not older than what its process has seen of the word; by
 * acquiring it joins the message's view. Read-modify-writes read the last message. Ordered loads
 * read nothing older than what stands before an ordered store or swap, of whatever word: these are
 * full barriers, as word.h says (of the machines that is true; C11 promises it for fences only). So
 * a relaxed store may be delayed past whatever follows until something releases it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/word.h"
#include "schedule/schedule.h"

#undef memset

#define UNIT 4
#define UNITS (BLOCK / UNIT) /* at most */
#define HISTORY 16
#define MESSAGES 1024

typedef struct {
  uint32_t time, value;
  int view; /* index of views, or -1: nothing */
} message;

typedef struct {
  uint32_t times[UNITS];
} view;

typedef struct {
  int count;
  message list[HISTORY];
} history;

typedef struct {
  view seen, acquired, released;
  bool in_seen[MESSAGES], in_acquired[MESSAGES]; /* the views that were joined once stay joined */
} knowledge;

_Alignas(4096) unsigned char block[BLOCK];
size_t block_object, block_size;
static unsigned char hole[BLOCK]; /* what a truncated object looks like */
static bool changed[UNITS];
bool memory_grown;

static history words[UNITS];
static unsigned touched[UNITS];
static int touched_count;
static view views[MESSAGES];
static int view_count;
static view ordered;
static knowledge known[PROCESSES];
static uint32_t now;
static unsigned units; /* that are in use: those of the object, then all */

static void view_clear(view *v) {
  memset(v->times, 0, units * sizeof *v->times);
}

static void view_copy(view *to, const view *from) {
  memcpy(to->times, from->times, units * sizeof *to->times);
}

void memory_begin(void) {
  memset(hole, 0, block_size);
  if (!w.weak)
    return;
  for (int i = 0; i < touched_count; i++)
    words[touched[i]].count = 0;
  touched_count = view_count = 0;
  now = 0;
  units = (unsigned)(block_size / UNIT);
  view_clear(&ordered);
  for (int p = 0; p < PROCESSES; p++) {
    view_clear(&known[p].seen);
    view_clear(&known[p].acquired);
    view_clear(&known[p].released);
    memset(known[p].in_seen, 0, sizeof known[p].in_seen);
    memset(known[p].in_acquired, 0, sizeof known[p].in_acquired);
  }
}

void memory_forget(void) {
  memset(changed, 0, sizeof changed);
}

static bool is_shared(const void *word) {
  uintptr_t at = (uintptr_t)word, from = (uintptr_t)block;
  return at >= from && at < from + block_size;
}

/* The word's bytes; fails when they lie outside the object and the data. */
static unsigned char *reach(const void *word, unsigned size) {
  uintptr_t offset = (uintptr_t)word - (uintptr_t)block;
  bool inside = is_shared(word) && offset + size <= block_size && offset % size == 0;
  must(inside, "an access outside the object, %ld bytes from its segment", (long)offset);
  return (w.truncated ? hole : block) + offset;
}

static unsigned unit_of(const void *word) {
  return (unsigned)(((uintptr_t)word - (uintptr_t)block) / UNIT);
}

bool memory_changes(const void *word, unsigned size) {
  unsigned unit = unit_of(word);
  return changed[unit] || (size > UNIT && changed[unit + 1]);
}

static void note_change(const void *word, unsigned size) {
  if (w.current == NOBODY || w.current == FRESH || w.hostile)
    return;
  for (unsigned i = 0; i * UNIT < size; i++)
    if (!changed[unit_of(word) + i])
      changed[unit_of(word) + i] = memory_grown = true;
}

static uint64_t get(const void *word, unsigned size) {
  const unsigned char *bytes = reach(word, size);
  return size == 8 ? *(const uint64_t *)bytes : size == 4 ? *(const uint32_t *)bytes : *bytes;
}

static void put(void *word, unsigned size, uint64_t value) {
  unsigned char *bytes = reach(word, size);
  if (size == 8)
    *(uint64_t *)bytes = value;
  else if (size == 4)
    *(uint32_t *)bytes = (uint32_t)value;
  else
    *bytes = (unsigned char)value;
}

/* --- stale reads -------------------------------------------------------------------------- */

static bool is_weak(void) {
  return w.weak && w.current != NOBODY && !w.truncated;
}

static void join(view *to, const view *from) {
  for (unsigned i = 0; i < units; i++)
    if (from->times[i] > to->times[i])
      to->times[i] = from->times[i];
}

static void join_once(view *to, bool *joined, int view) {
  if (!joined[view])
    join(to, &views[view]);
  joined[view] = true;
}

static history *history_of(unsigned unit) {
  history *h = &words[unit];
  if (h->count == 0) { /* what was there before all */
    uint32_t value;
    memcpy(&value, block + unit * UNIT, sizeof value);
    h->count = 1;
    h->list[0] = (message){ 0, value, -1 };
    touched[touched_count++] = unit;
  }
  return h;
}

/* The oldest time that the process may read from the unit. */
static uint32_t floor_of(unsigned unit, step_order order) {
  uint32_t floor = known[w.current].seen.times[unit];
  if (order == STEP_ORDERED && ordered.times[unit] > floor)
    floor = ordered.times[unit];
  return floor;
}

/* How many older messages a load could read. */
static int stale_of(const void *word, step_order order) {
  unsigned unit = unit_of(word);
  if (!is_weak() || words[unit].count == 0)
    return 0;
  const history *h = &words[unit];
  uint32_t floor = floor_of(unit, order);
  int older = 0;
  while (older + 1 < h->count && h->list[h->count - 1 - older].time > floor)
    older++;
  return older;
}

/* Reads the newest message of the unit that is not newer than time, and learns from it. */
static uint32_t read_unit(unsigned unit, uint32_t time, step_order order) {
  const history *h = history_of(unit);
  knowledge *k = &known[w.current];
  uint32_t floor = floor_of(unit, order);
  int i = h->count - 1;
  while (i > 0 && h->list[i].time > time && h->list[i].time > floor)
    i--;
  const message *m = &h->list[i];
  k->seen.times[unit] = m->time;
  if (m->view >= 0) {
    join_once(&k->acquired, k->in_acquired, m->view);
    if (order != STEP_RELAXED)
      join_once(&k->seen, k->in_seen, m->view);
  }
  return m->value;
}

/* The value of a load that reads the message that is so many older than the last. */
static uint64_t read_stale(const void *word, unsigned size, int older, step_order order) {
  unsigned unit = unit_of(word);
  const history *h = history_of(unit);
  uint32_t time = older >= h->count ? 0 : h->list[h->count - 1 - older].time;
  if (older == 0)
    time = now;
  uint64_t low = read_unit(unit, time, order);
  if (size <= UNIT)
    return size == UNIT ? low : *reach(word, 1);
  uint32_t halves[2] = { (uint32_t)low, read_unit(unit + 1, time, order) };
  uint64_t value;
  memcpy(&value, halves, sizeof value);
  return value;
}

static void add_message(unsigned unit, int view) {
  history *h = &words[unit];
  if (h->count == HISTORY) {
    memmove(&h->list[0], &h->list[1], sizeof h->list - sizeof h->list[0]);
    h->count--;
  }
  uint32_t value;
  memcpy(&value, block + unit * UNIT, sizeof value);
  h->list[h->count++] = (message){ now, value, view };
}

/* The value is in place: leaves its messages. */
static void leave_message(const void *word, unsigned size, step_order order) {
  knowledge *k = &known[w.current];
  unsigned unit = unit_of(word), last = unit + (size > UNIT);
  now++;
  int index = view_count < MESSAGES ? view_count++ : -1;
  for (unsigned i = unit; i <= last; i++)
    k->seen.times[i] = now;
  if (order == STEP_ORDERED)
    join(&ordered, &k->seen);
  if (index >= 0)
    view_copy(&views[index], order == STEP_RELAXED ? &k->released : &k->seen);
  for (unsigned i = unit; index >= 0 && i <= last; i++)
    views[index].times[i] = now;
  for (unsigned i = unit; i <= last; i++)
    add_message(i, index);
}

static void store(void *word, unsigned size, uint64_t value, step_order order) {
  bool weak = is_weak();
  must(w.current == NOBODY || w.processes[w.current].segment.writable,
       "a write through a read-only mapping");
  if (weak) {
    history_of(unit_of(word));
    if (size > UNIT)
      history_of(unit_of(word) + 1);
  }
  uint64_t before = get(word, size);
  put(word, size, value);
  bool changes = get(word, size) != before;
  if (changes)
    note_change(word, size);
  if (weak)
    leave_message(word, size, order);
  if (changes && w.structure->stored && w.current != NOBODY && !w.hostile)
    w.structure->stored(word);
}

void memory_found_dead(int prober, int dead) {
  if (w.weak)
    join(&known[prober].seen, &known[dead].seen);
}

uint32_t memory_look(const uint32_t *word) {
  return (uint32_t)get(word, sizeof *word);
}

/* --- steps -------------------------------------------------------------------------------- */

static const char *const order_names[] = { "", " acquire", " release", " ordered" };

static uint64_t step_load(const void *word, unsigned size, step_order order) {
  int older = 0;
  access a = { "load", (void *)word, size, false, false, stale_of(word, order), false };
  engine_step(&a, &older);
  uint64_t value = is_weak() ? read_stale(word, size, older, order) : get(word, size);
  engine_trace("load%s +%ld: 0x%llx%s", order_names[order],
               (long)((uintptr_t)word - (uintptr_t)block), (unsigned long long)value,
               older ? " (stale)" : "");
  return value;
}

static void step_store(void *word, unsigned size, uint64_t value, step_order order) {
  access a = { "store", word, size, true, false, 0, get(word, size) == value };
  engine_step(&a, NULL);
  engine_trace("store%s +%ld: 0x%llx", order_names[order],
               (long)((uintptr_t)word - (uintptr_t)block), (unsigned long long)value);
  store(word, size, value, order);
}

static uint64_t last_value(const void *word, unsigned size) {
  return is_weak() ? read_stale(word, size, 0, STEP_ORDERED) : get(word, size);
}

static bool step_cas(void *word, unsigned size, uint64_t *seen, uint64_t value) {
  access a = { "cas", word, size, true, false, 0, false };
  engine_step(&a, NULL);
  uint64_t is = last_value(word, size);
  bool done = is == *seen;
  engine_trace("cas +%ld: 0x%llx, 0x%llx -> 0x%llx%s", (long)((uintptr_t)word - (uintptr_t)block),
               (unsigned long long)is, (unsigned long long)*seen, (unsigned long long)value,
               done ? "" : " (not done)");
  if (done)
    store(word, size, value, STEP_ORDERED);
  *seen = is;
  return done;
}

static uint64_t step_modify(void *word, unsigned size, uint64_t value, step_change change) {
  access a = { "change", word, size, true, false, 0, false };
  engine_step(&a, NULL);
  uint64_t is = last_value(word, size);
  uint64_t next = change == STEP_SWAP  ? value
                  : change == STEP_ADD ? is + value
                  : change == STEP_AND ? is & value
                  : change == STEP_OR  ? is | value
                                       : is ^ value;
  engine_trace("change +%ld: 0x%llx -> 0x%llx", (long)((uintptr_t)word - (uintptr_t)block),
               (unsigned long long)is, (unsigned long long)next);
  store(word, size, next, STEP_ORDERED);
  return is;
}

uint32_t step_load32(const void *word, step_order order) {
  return (uint32_t)step_load(word, 4, order);
}

uint64_t step_load64(const void *word, step_order order) {
  return step_load(word, 8, order);
}

void step_store32(void *word, uint32_t value, step_order order) {
  step_store(word, 4, value, order);
}

void step_store64(void *word, uint64_t value, step_order order) {
  step_store(word, 8, value, order);
}

bool step_cas32(void *word, uint32_t *seen, uint32_t value) {
  uint64_t wide = *seen;
  bool done = step_cas(word, 4, &wide, value);
  *seen = (uint32_t)wide;
  return done;
}

bool step_cas64(void *word, uint64_t *seen, uint64_t value) {
  return step_cas(word, 8, seen, value);
}

uint32_t step_change32(void *word, uint32_t value, step_change change) {
  return (uint32_t)step_modify(word, 4, value, change);
}

uint64_t step_change64(void *word, uint64_t value, step_change change) {
  return step_modify(word, 8, value, change);
}

void step_fence(step_order order) {
  if (!is_weak())
    return;
  knowledge *k = &known[w.current];
  if (order == STEP_RELEASE)
    view_copy(&k->released, &k->seen);
  else
    join(&k->seen, &k->acquired);
}

/* The largest piece that begins at the address, is aligned there and not more than count. */
static unsigned piece_at(const void *shared, size_t count) {
  unsigned size = 8;
  while (size > 1 && (size > count || (uintptr_t)shared % size != 0))
    size = size == 8 ? 4 : 1;
  return size;
}

void step_copy_from(void *to, const void *shared, size_t count) {
  unsigned char *bytes = to;
  const unsigned char *from = shared;
  while (count > 0) {
    unsigned size = piece_at(from, count);
    uint64_t value = step_load(from, size, STEP_RELAXED);
    uint32_t half = (uint32_t)value;
    unsigned char byte = (unsigned char)value;
    memcpy(bytes, size == 8 ? (void *)&value : size == 4 ? (void *)&half : &byte, size);
    bytes += size, from += size, count -= size;
  }
}

void step_copy_to(void *shared, const void *from, size_t count) {
  unsigned char *to = shared;
  const unsigned char *bytes = from;
  while (count > 0) {
    unsigned size = piece_at(to, count);
    uint64_t value = *bytes;
    uint32_t half = 0;
    memcpy(size == 8 ? (void *)&value : &half, bytes, size == 1 ? 0 : size);
    step_store(to, size, size == 4 ? half : value, STEP_RELAXED);
    to += size, bytes += size, count -= size;
  }
}

void *step_set(void *to, int byte, size_t count) {
  if (!is_shared(to))
    return memset(to, byte, count);
  unsigned char *at = to;
  while (count > 0) {
    unsigned size = piece_at(at, count);
    step_store(at, size, (unsigned char)byte * UINT64_C(0x0101010101010101), STEP_RELAXED);
    at += size, count -= size;
  }
  return to;
}

/* --- strangers ---------------------------------------------------------------------------- */

void memory_flip(void *word, unsigned size, int how) {
  uint64_t is = get(word, size);
  const uint64_t values[FLIPS] = { 0,
                                   1,
                                   UINT64_MAX,
                                   ID_DEAD,
                                   ID_STRANGER,
                                   w.processes[w.current].id,
                                   is ^ 0x80000000u,
                                   is + 1,
                                   is ^ UINT64_C(0x4000000040000000) };
  put(word, size, values[how]);
  engine_trace("a stranger writes 0x%llx to +%ld", (unsigned long long)get(word, size),
               (long)((uintptr_t)word - (uintptr_t)block));
}

uint32_t data_load(int index) {
  return step_load32(block + block_object + 64 * index, STEP_RELAXED);
}

void data_store(int index, uint32_t value) {
  step_store32(block + block_object + 64 * index, value, STEP_RELAXED);
}
