/* SPDX-License-Identifier: MIT */
/* The fuzzer's engine: commands from bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/owner.h"
#include "fuzz/fuzz.h"
#include "objects/inspect.h"

#if !defined(__has_feature)
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define PAGE 4096u
#define SEGMENTS 3
#define FLIPS 8
#define CANARY 0xa5
#define LATE ((int64_t)200000000)
#define COMMANDS 60

typedef struct {
  unsigned after; /* accesses; 0: none */
  uint32_t word, value;
  bool cut, adds, again; /* again: the word that was accessed last, whichever that is */
} flip;

static struct {
  int fd;
  size_t all;           /* bytes of the file: the largest object and a page */
  shmseg_segment view;  /* the engine's own, not poisoned */
  unsigned char *bytes; /* its data */
  shmseg_segment segments[SEGMENTS];
  uint64_t offset, size, available;
  unsigned choice;
  bool open[FUZZ_HANDLES], hostile, in_call;
  flip flips[FLIPS];
  uint64_t touched; /* the word that was accessed last */
  const uint8_t *input, *end;
} run;

/* The guard is there for SIGBUS; libFuzzer and ASan must leave it alone. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "handle_sigbus=0:allow_user_poisoning=1:detect_leaks=0:detect_stack_use_after_return=0";
}

void fuzz_fail(const char *what) {
  fprintf(stderr, "# %s: %s\n", fuzz_subject.kind->name, what);
  abort();
}

static uint8_t byte(void) {
  return run.input < run.end ? *run.input++ : 0;
}

static uint32_t word(void) {
  uint32_t low = byte(), high = byte();
  return low | high << 8 | (uint32_t)byte() << 16 | (uint32_t)byte() << 24;
}

static shmseg_segment *segment_of(int handle) {
  return &run.segments[handle < 2 ? 0 : handle - 1];
}

uint32_t *fuzz_words(size_t *count) {
  *count = run.size / 4;
  return run.bytes ? (uint32_t *)(run.bytes + run.offset) : NULL;
}

/* --- the stranger --------------------------------------------------------------------------- */

static uint32_t interesting(void) {
  uint32_t flags = (uint32_t)(byte() & 3) << 30;
  switch (byte() % 10) {
  case 0: return flags;
  case 1: return flags | 1;
  case 2: return flags | run.segments[0].member.id;
  case 3: return flags | run.segments[1].member.id;
  case 4: return flags | 0x3ffffff1; /* most likely nobody */
  case 5: return flags | byte();
  case 6: return 0x53484d53;
  case 7: return UINT32_MAX - byte();
  case 8: return 1u << (byte() & 31);
  default: return word();
  }
}

/* Which word: often one of the first lines. */
static uint32_t some_word(void) {
  uint32_t b = byte(), words = (uint32_t)(run.size / 4);
  if (b < 160)
    return b % 64 % words;
  return (b << 8 | byte()) % words;
}

static void strike(const flip *f) {
  if (f->cut) {
    if (ftruncate(run.fd, (off_t)(f->value % (run.all / PAGE)) * PAGE) != 0)
      fuzz_fail("ftruncate");
    if (f->value & 0x100 && ftruncate(run.fd, run.all) != 0)
      fuzz_fail("ftruncate");
    return;
  }
  uint32_t *word = (uint32_t *)(run.bytes + run.offset) + (f->again ? run.touched : f->word);
  if (f->adds)
    __atomic_fetch_add(word, f->value, __ATOMIC_SEQ_CST);
  else
    __atomic_store_n(word, f->value, __ATOMIC_SEQ_CST);
}

void *fuzz_touch(const volatile void *address, size_t size, bool is_word) {
  uintptr_t at = (uintptr_t)address;
  uint64_t offset = UINT64_MAX; /* in the object */
  for (int i = 0; i < SEGMENTS; i++) {
    uintptr_t base = (uintptr_t)run.segments[i].data;
    if (at >= base && at - base < run.all + PAGE)
      offset = at - base - run.offset;
  }
  if (offset > run.available || size > run.available - offset || (is_word && at % size != 0))
    fuzz_fail("an access outside the object");
  fuzz_os_access();
  for (int i = 0; i < FLIPS; i++)
    if (run.flips[i].after > 0 && --run.flips[i].after == 0)
      strike(&run.flips[i]);
  if (is_word)
    run.touched = offset / 4;
  return (void *)at;
}

/* What a count or a position that is there can be moved by. */
static uint32_t some_step(void) {
  uint32_t steps = (uint32_t)(int8_t)byte();
  return byte() & 3 ? 8 * steps : steps;
}

static void arm(bool at_once) {
  uint8_t how = byte();
  flip f = { .word = some_word(), .adds = how % 3 == 0, .again = !at_once && how & 0x80 };
  f.value = f.adds ? some_step() : interesting();
  f.after = at_once ? 0 : 1u + byte() % 40u;
  run.hostile = true;
  if (at_once)
    strike(&f);
  else
    run.flips[byte() % FLIPS] = f;
}

static void arm_cut(void) {
  unsigned where = byte() % FLIPS;
  run.hostile = true;
  run.flips[where] = (flip){ .cut = true, .after = 1u + byte() % 20u, .value = word() };
}

/* What the options of that choice are. */
static shmseg_object_options options_of(unsigned choice) {
  shmseg_object_options options = { 0 };
  if (fuzz_subject.options)
    options = *fuzz_subject.options;
  if (fuzz_subject.number)
    *(uint64_t *)((char *)&options + fuzz_subject.kind->numbers[0].offset) =
        fuzz_subject.number(choice);
  return options;
}

static uint64_t size_of(unsigned choice) {
  shmseg_object_options options = options_of(choice);
  return shmseg_object_size(fuzz_subject.kind, &options);
}

static shmseg_object *handle_of(int handle) {
  return (shmseg_object *)((char *)fuzz_subject.handles +
                           (size_t)handle * fuzz_subject.kind->handle_size);
}

/* The header of another object of the kind, perhaps a larger one than there is room for. */
static void exchange_header(void) {
  unsigned choice = byte();
  shmseg_object_options options = options_of(choice);
  uint64_t header[1 + SHMSEG_GEOMETRY] = { size_of(choice) };
  shmseg_kinds_plan(fuzz_subject.kind, &options, 0, header + 1);
  run.hostile = true;
  memcpy(run.bytes + run.offset + 16, header, sizeof header);
}

static void scribble_all(void) {
  uint32_t seed = word() | 1;
  run.hostile = true;
  for (uint64_t i = byte() & 1 ? 16 : 0; i < run.size / 4; i++) {
    seed = seed * 1664525 + 1013904223;
    ((uint32_t *)(run.bytes + run.offset))[i] = seed >> (seed >> 27);
  }
}

/* --- the handles ---------------------------------------------------------------------------- */

/* All but the room of the object is poisoned, in each mapping. */
static void poison(void) {
  for (int i = 0; i < SEGMENTS; i++) {
    unsigned char *base = run.segments[i].data;
    if (!base)
      continue;
    if (run.segments[i].reserved != run.all)
      fuzz_fail("the engine has mapped less than all");
    ASAN_UNPOISON_MEMORY_REGION(base, run.all);
    ASAN_POISON_MEMORY_REGION(base, run.offset);
    uint64_t end = run.offset + run.available;
    if (end < run.all)
      ASAN_POISON_MEMORY_REGION(base + end, run.all - end);
  }
}

static void open_segment(int i) {
  if (shmseg_segment_from_fd(&run.segments[i], run.fd, i < 2) != 0)
    fuzz_fail("a segment cannot be had");
}

static void close_segment(int i) {
  if (run.segments[i].data)
    ASAN_UNPOISON_MEMORY_REGION(run.segments[i].data, run.all);
  shmseg_segment_close(&run.segments[i]);
}

static void close_handle(int handle) {
  if (run.open[handle])
    shmseg_object_close(handle_of(handle));
  run.open[handle] = false;
}

/* stolen: what this thread had waited for a processor before the call; operation -1: it was an open. */
static void check_time(int64_t limit, int64_t stolen, int operation) {
  int64_t late = fuzz_now() - limit;
  if (late <= LATE || late - (fuzz_stolen() - stolen) <= LATE)
    return;
  fprintf(stderr, "# operation %d is %lld ms late, not for want of a processor (%lld ms)\n",
          operation, (long long)(late / 1000000), (long long)((fuzz_stolen() - stolen) / 1000000));
  fuzz_fail("a call outlives its timeout");
}

static void open_handle(int handle, bool honest) {
  static const shmseg_mode modes[] = { SHMSEG_CREATE, SHMSEG_WRITE, SHMSEG_CREATE_ONLY,
                                       SHMSEG_READ };
  uint8_t how = byte();
  unsigned choice = honest || how & 0x40 ? run.choice : byte();
  close_handle(handle);
  int64_t stolen = fuzz_stolen(), limit = fuzz_now() + 1000000000;
  shmseg_object_options options = options_of(choice);
  shmseg_slice where = { segment_of(handle), run.offset, run.available };
  int err =
      shmseg_object_open(handle_of(handle), fuzz_subject.kind, where,
                         modes[honest ? handle == 3 : how % 4], choice & 8 ? NULL : &options, NULL);
  check_time(limit, stolen, -1);
  run.open[handle] = err == 0;
  if (err == 0 && fuzz_subject.opened)
    fuzz_subject.opened(handle);
}

/* As a process that dies: its identity goes, its words stay. */
static void die(int i) {
  shmseg_owner_forget_all(&run.segments[i]);
}

/* Whoever shrank the object makes it whole; nothing may strike between this and the mapping. */
static void make_whole(void) {
  if (ftruncate(run.fd, (off_t)run.all) != 0)
    fuzz_fail("ftruncate");
}

/* The handle's user closes the segment, or it has met a hole: new ones. */
static void renew(int i) {
  bool closes = byte() & 1;
  for (int handle = 0; handle < FUZZ_HANDLES; handle++)
    if (segment_of(handle) == &run.segments[i] && byte() & 1)
      close_handle(handle);
  if (closes) {
    close_segment(i);
    for (int handle = 0; handle < FUZZ_HANDLES; handle++)
      if (segment_of(handle) == &run.segments[i])
        close_handle(handle);
    make_whole();
    open_segment(i);
  } else {
    make_whole();
    if (shmseg_segment_refresh(&run.segments[i]) != 0)
      fuzz_fail("refresh");
  }
  poison();
}

static void operate(int handle) {
  const int timeouts[] = { 0, 0, 0, 1, 2, fuzz_longest, -5 };
  if (!run.open[handle])
    return;
  int operation = byte() % fuzz_subject.operations;
  int64_t stolen = fuzz_stolen(); /* first: what is stolen from here on is not the call's fault */
  int64_t begun = fuzz_now(), deadline = begun + timeouts[byte() % 7] * (int64_t)1000000;
  int64_t limit = deadline > begun ? deadline : begun;
  if (fuzz_subject.patient && fuzz_subject.patient(operation))
    limit += fuzz_patience * (int64_t)1000000;
  bool patient = byte() & 3;
  int err;
  do {
    err = fuzz_subject.operate(handle, operation, deadline);
    check_time(limit, stolen, operation);
  } while (err == SHMSEG_INTERRUPTED && patient);
  if (!run.hostile && err == SHMSEG_CORRUPT)
    fuzz_fail("corrupt, and nobody has changed a byte");
}

/* --- runs ------------------------------------------------------------------------------------ */

static void check_canaries(void) {
  uint64_t end = run.offset + run.available;
  for (uint64_t i = 1; i <= 256; i++)
    if ((run.offset >= i && run.bytes[run.offset - i] != CANARY) ||
        (end + i <= run.all && run.bytes[end + i - 1] != CANARY))
      fuzz_fail("a byte outside the object has changed");
}

/* From outside: nothing that is there may lead it astray. */
static void look(int handle) {
  shmseg_inspection inspection;
  shmseg_seen seen;
  int err = shmseg_inspect_begin(handle_of(handle), &inspection);
  while (!err || err == SHMSEG_INTERRUPTED)
    err = shmseg_inspect_next(handle_of(handle), &inspection, &seen);
  shmseg_object_check(handle_of(handle));
}

static void command(void) {
  uint8_t c = byte(), handle = byte() % FUZZ_HANDLES;
  if (c < 150)
    operate(handle);
  else if (c < 160)
    open_handle(handle, true);
  else if (c < 170)
    open_handle(handle, false);
  else if (c < 176)
    close_handle(handle);
  else if (c < 182)
    die(byte() & 1);
  else if (c < 184)
    renew(byte() % SEGMENTS);
  else if (c < 210)
    arm(true);
  else if (c < 245)
    arm(false);
  else if (c < 248)
    arm_cut();
  else if (c < 250)
    scribble_all();
  else if (c < 252)
    exchange_header();
  else if (run.open[handle])
    look(handle);
}

/* Where the object lies: at the end of the mapping or in its middle, with room or without. */
static void place(void) {
  uint8_t how = byte();
  run.choice = byte();
  run.size = size_of(run.choice);
  run.available = run.size + (how & 0x30 ? 0 : 64u * (how & 3));
  run.offset = how & 0x80 ? PAGE : (run.all - run.available) / 64 * 64;
}

void fuzz_begin(void) {
  for (unsigned choice = 0; choice < 256; choice++)
    if (size_of(choice) > run.all)
      run.all = size_of(choice);
  run.all = (run.all + 512 + PAGE - 1) / PAGE * PAGE + PAGE;
  run.fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (run.fd < 0 || ftruncate(run.fd, run.all) != 0)
    fuzz_fail("no memory");
  if (shmseg_segment_from_fd(&run.view, run.fd, true) != 0)
    fuzz_fail("no memory");
  run.bytes = run.view.data;
  for (int i = 0; i < SEGMENTS; i++)
    shmseg_segment_init(&run.segments[i]);
}

static void set_up(void) {
  run.hostile = false;
  memset(run.flips, 0, sizeof run.flips);
  run.touched = 0;
  if (ftruncate(run.fd, run.all) != 0 || shmseg_segment_refresh(&run.view) != 0)
    fuzz_fail("no memory");
  run.bytes = run.view.data;
  place();
  memset(run.bytes + (run.offset > 256 ? run.offset - 256 : 0), CANARY, 256);
  uint64_t end = run.offset + run.available;
  memset(run.bytes + end, CANARY, run.all - end < 256 ? run.all - end : 256);
  memset(run.bytes + run.offset, 0, run.available);
  for (int i = 0; i < SEGMENTS; i++)
    open_segment(i);
  poison();
}

void fuzz_run(const uint8_t *input, size_t size, bool scribbled) {
  run.input = input;
  run.end = input + size;
  fuzz_os_reset();
  set_up();
  run.hostile = scribbled;
  fuzz_scribble(scribbled);
  for (int handle = 0; handle < FUZZ_HANDLES; handle++)
    open_handle(handle, true);
  bool cut = false;
  for (int i = 0; i < COMMANDS && run.input < run.end; i++) {
    command();
    for (int f = 0; f < FLIPS; f++)
      cut |= run.flips[f].cut;
    if (!cut)
      check_canaries();
  }
  fuzz_scribble(false);
  if (!run.hostile && run.open[0] && shmseg_object_check(handle_of(0)))
    fuzz_fail(shmseg_object_check(handle_of(0)));
  memset(run.flips, 0, sizeof run.flips);
  for (int handle = 0; handle < FUZZ_HANDLES; handle++)
    close_handle(handle);
  for (int i = 0; i < SEGMENTS; i++)
    close_segment(i);
}
