/* SPDX-License-Identifier: MIT */
/* The cell in the storm: values are whole, versions grow, each version is one value, and no set is
 * lost or doubled. */
#include "storm/storm.h"
#include "core/word.h"

#define CAPACITY 56

typedef struct {
  uint64_t number, sets, setting, doubts; /* doubts: sets that a death may have cut off */
  uint64_t version;                       /* the last one seen */
} account;

static struct {
  account workers[STORM_WORKERS_MAX];
  uint64_t sums[STORM_SUMS];
} * books;

static shmseg_cell cell;

static void prepare(void) {
  books = storm_memory(sizeof *books);
}

static account *mine(void) {
  return &books->workers[storm_me];
}

static void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* The value of a version; which is never an older one than those seen. */
static void see(uint64_t version, const storm_message *value) {
  storm_expect(version >= mine()->version);
  storm_compare_sum(books->sums, version, value);
  mine()->version = version;
}

static void set(void) {
  storm_message value;
  uint64_t version = 0, before = 0;
  bool compares = storm_draw(3) == 0;
  storm_compose(&value, ++mine()->number, CAPACITY);
  storm_begin(compares ? "cell: cas" : "cell: set", 0);
  int err = shmseg_cell_version(&cell, &before);
  write_word(&mine()->setting, 1);
  if (!err)
    err = compares ? shmseg_cell_cas(&cell, before, &value, value.size, &version)
                   : shmseg_cell_set(&cell, &value, value.size, &version);
  if (!err) {
    write_word(&mine()->sets, mine()->sets + 1);
    storm_note_sum(books->sums, version, &value);
  }
  write_word(&mine()->setting, 0);
  bool changed = compares && err == SHMSEG_CHANGED;
  storm_end(changed ? 0 : err, true);
  storm_expect(version > before && (!compares || changed || version == before + 1));
  if (!err)
    see(version, &value);
}

/* As get, and slowly, so that writers overtake it. */
static int get_slowly(storm_message *value, size_t *size, uint64_t *version) {
  const unsigned char *bytes;
  int err = shmseg_cell_peek(&cell, &bytes, size, version);
  if (err)
    return err;
  size_t half = *size / 2;
  copy_from_shared(value, bytes, half);
  storm_nap();
  copy_from_shared((unsigned char *)value + half, bytes + half, *size - half);
  return shmseg_cell_confirm(&cell, *version);
}

static void get(void) {
  storm_message value;
  uint64_t version;
  size_t size;
  storm_begin("cell: get", 0);
  int err = storm_draw(2) ? get_slowly(&value, &size, &version)
                          : shmseg_cell_get(&cell, &value, sizeof value, &size, &version);
  bool none = err == SHMSEG_EMPTY || err == SHMSEG_CHANGED;
  storm_end(none ? 0 : err, false);
  storm_expect(err != SHMSEG_EMPTY || mine()->version == 0);
  if (err)
    return;
  storm_expect(storm_is_whole(&value, size));
  see(version, &value);
}

static void wait(void) {
  int64_t deadline = storm_short_deadline();
  uint64_t seen = mine()->version, version;
  int err;
  storm_begin("cell: wait", deadline);
  do
    err = shmseg_cell_wait(&cell, seen, deadline);
  while (err == SHMSEG_INTERRUPTED);
  storm_end(err, false);
  if (err == 0)
    storm_expect(shmseg_cell_version(&cell, &version) == 0 && version > seen);
}

static void operate(void) {
  uint64_t drawn = storm_draw(4);
  if (drawn == 0)
    wait();
  else if (drawn == 1)
    for (uint64_t i = storm_draw(12); i > 0; i--) /* several, to overtake readers */
      set();
  else
    get();
}

static void bury(unsigned worker) {
  account *its = &books->workers[worker];
  its->doubts += its->setting;
  its->setting = 0;
}

static const char *finish(void) {
  uint64_t version, sets = 0, doubts = 0;
  const char *wrong = shmseg_cell_check(&cell);
  if (wrong)
    return wrong;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++) {
    sets += books->workers[w].sets;
    doubts += books->workers[w].doubts;
  }
  if (shmseg_cell_version(&cell, &version) != 0 || version < sets || version > sets + doubts)
    return "sets are lost, or doubled";
  get();
  set();
  get();
  return mine()->version == version + 1 ? NULL : "it cannot be set";
}

static const storm_noun storm_cell = {
  .kind = &shmseg_cell_kind,
  .handle = &cell.object,
  .options = &(const shmseg_object_options){ .capacity = CAPACITY },
  .operate = operate,
  .finish = finish,
  .prepare = prepare,
  .bury = bury,
};

STORM_PLAY(storm_cell);
