/* SPDX-License-Identifier: MIT */
/* objects/dict_repair.c, dict_check.c: what the next owner makes of a stripe whose owner died, and which
 * invariant a check names. */
#include <errno.h>

#include "core/lock.h"
#include "nouns/dict/help.h"

#define CAPACITY (256 * 1024)
#define KEYS 700 /* more than there are slots */
#define DIRTY (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY)

static dict_op op;
static dict_found found;
static dict_key where;

/* --- items -------------------------------------------------------------------------------- */

static const char *key_of(int i) {
  static char key[16];
  snprintf(key, sizeof key, "key %d", i);
  return key;
}

static int store(const char *key, const char *text, int64_t ttl) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = text, .size = strlen(text) };
  shmseg_dict_how how = { .ttl = ttl };
  bool forcible;
  int64_t deadline = 0;
  return shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &deadline);
}

static bool has(const char *key, const char *text) {
  static char buffer[8192];
  shmseg_dict_value value;
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &value) == 0 &&
         value.type == SHMSEG_DICT_STRING && value.size == strlen(text) &&
         memcmp(buffer, text, value.size) == 0;
}

static bool is_absent(const char *key) {
  uint64_t length;
  return shmseg_dict_length(&d, key, strlen(key), &length) == SHMSEG_EMPTY;
}

static void push(const char *key, int64_t number) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = number };
  int64_t deadline = 0;
  uint64_t length;
  must(shmseg_dict_push(&d, key, strlen(key), false, &value, &length, &deadline) == 0);
}

static int64_t pop(const char *key, bool left) {
  shmseg_dict_value value = { .integer = -1 };
  int64_t deadline = 0;
  int err = shmseg_dict_pop(&d, key, strlen(key), left, NULL, 0, &value, &deadline);
  return err ? -1 : value.integer;
}

static int64_t add(const char *key, int64_t number) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = number },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value sum = { .integer = -1 };
  bool forcible;
  int64_t deadline = 0;
  int err = shmseg_dict_incr(&d, key, strlen(key), &step, &sum, &forcible, &deadline);
  return err ? -1 : sum.integer;
}

static void look(const char *key) {
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
}

static uint64_t cell_at(uint64_t offset) {
  return dict_cell_at(&d, found.cell) + offset;
}

static const char *long_text(int i) {
  static char text[6000];
  memset(text, 'a' + i % 26, sizeof text);
  text[1 + i * 97 % 5000] = '\0';
  return text;
}

/* Is that the first thing that is wrong? NULL: nothing is. */
static bool finds(const char *wrong) {
  const char *seen = shmseg_dict_check(&d);
  bool is_it = wrong ? seen && strcmp(seen, wrong) == 0 : !seen;
  if (!is_it)
    printf("# %s\n", seen ? seen : "nothing is wrong");
  return is_it;
}

/* --- a death ------------------------------------------------------------------------------ */

static uint64_t stripe_word(uint64_t offset) {
  return number_at(&ours, dict_stripe_at(0, offset));
}

/* The stripe's owner dies, and the next one comes. */
static int die(void) {
  set_word(&ours, dict_stripe_at(0, STRIPE_LOCK), DIRTY);
  patience = 0;
  op = in_stripe(0);
  int err = shmseg_dict_enter(&op);
  return err ? err : shmseg_dict_leave(&op, 0);
}

static void set_up(void) {
  open_dict(CAPACITY, SHMSEG_DICT_NONE, 1);
  op = in_stripe(0);
}

static const test_fixture fresh = { set_up, close_dict };

/* Chains, long values, lists, a hot number, what expires. */
static void fill(void) {
  for (int i = 0; i < KEYS; i++)
    must(store(key_of(i), i % 50 == 0 ? long_text(i) : key_of(i), i % 3 == 0 ? 1000000 : 0) == 0);
  for (int i = 0; i < 30; i++)
    push(i % 2 == 0 ? "list" : "other list", i);
  for (int i = 0; i < 5; i++)
    add("number", 7);
}

static void see(void) {
  for (int i = 0; i < KEYS; i++) {
    static char key[16];
    strcpy(key, key_of(i));
    check(has(key, i % 50 == 0 ? long_text(i) : key));
  }
  for (int i = 0; i < 30; i++)
    check(pop(i % 2 == 0 ? "list" : "other list", true) == i);
  check(add("number", 1) == 36);
}

TEST_WITH(fresh, stays, "all that is there stays, and what nothing leads to is free") {
  dict_block block;
  fill();
  look("key 0");
  shmseg_dict_token before = { found.word, 0, found.epoch };
  uint64_t used = stripe_word(STRIPE_USED), bytes = stripe_word(STRIPE_BYTES);
  check(finds(NULL) && stripe_word(STRIPE_COUNT) == KEYS + 3);
  for (uint64_t i = 0; i < 20; i++)
    must(shmseg_dict_take(&op, 1 + i * 9, 0, &block) == 0);
  check(finds("D2: a cell that nothing leads to"));
  set_number(&ours, dict_stripe_at(0, STRIPE_USED), 1);
  set_number(&ours, dict_stripe_at(0, STRIPE_COUNT), 2);
  set_number(&ours, dict_stripe_at(0, STRIPE_BYTES), 3);
  set_number(&ours, dict_stripe_at(0, STRIPE_STAMP), 4);
  check(die() == 0 && finds(NULL) && granted_cells() == used);
  check(stripe_word(STRIPE_USED) == used && stripe_word(STRIPE_BYTES) == bytes);
  check(stripe_word(STRIPE_COUNT) == KEYS + 3 && stripe_word(STRIPE_REPAIRED) == 1);
  look("key 0");
  check(!dict_is_same(before.word, before.epoch, found.epoch));
  see();
  check(finds(NULL));
}

TEST_WITH(fresh, again, "a repair that died, or that waits for the arena, is done again") {
  shmseg_segment other;
  uint32_t id;
  fill();
  look("key 3");
  check(shmseg_dict_mark(&op, dict_item_block(&found)));
  check(finds("D2: an owner") && die() == 0 && finds(NULL));
  same_segment(&other, &ours);
  must(shmseg_owner_identity(&other, &id) == 0);
  set_word(&ours, DICT_ARENA_LOCK, id);
  check(die() == SHMSEG_INTERRUPTED && word_at(&ours, dict_stripe_at(0, STRIPE_LOCK)) == DIRTY);
  check(finds(NULL)); /* what is under the locks is not looked at */
  shmseg_segment_close(&other);
  check(die() == 0 && finds(NULL));
  see();
}

TEST_WITH(fresh, flushed, "what was flushed stays, but is not counted") {
  fill();
  must(shmseg_dict_flush_all(&d) == 0 && store("new", "value", 0) == 0);
  check(finds(NULL) && die() == 0 && finds(NULL));
  check(stripe_word(STRIPE_COUNT) == 1 && stripe_word(STRIPE_BYTES) == 8);
  check(stripe_word(STRIPE_USED) > KEYS && has("new", "value"));
}

/* --- lists -------------------------------------------------------------------------------- */

TEST_WITH(fresh, popped, "a list whose owner died behind its ends has the right count and links") {
  fill();
  look("list");
  uint32_t second = word_at(&ours, dict_cell_at(&d, (uint32_t)found.head.number) + ELEMENT_NEXT);
  uint32_t third = word_at(&ours, dict_cell_at(&d, second) + ELEMENT_NEXT);
  uint64_t ends = (found.head.number & ~(uint64_t)UINT32_MAX) | second;
  uint64_t word = found.word;
  set_number(&ours, cell_at(ITEM_NUMBER), ends); /* the first one is popped */
  check(finds("D1: a list"));
  set_word(&ours, dict_cell_at(&d, third) + ELEMENT_BEFORE, 12345);
  check(die() == 0 && finds(NULL));
  look("list");
  check(found.head.flags == 14 && found.head.number == ends && found.word != word);
  for (int i = 28; i > 0; i -= 2)
    check(pop("list", false) == i);
  check(is_absent("list") && finds(NULL));
}

TEST_WITH(fresh, torn, "of a list with an element that cannot be the part before it stays") {
  fill();
  look("list");
  uint32_t second = word_at(&ours, dict_cell_at(&d, (uint32_t)found.head.number) + ELEMENT_NEXT);
  set_word(&ours, dict_cell_at(&d, second) + ELEMENT_NEXT, (uint32_t)found.head.number);
  check(finds("D1: a list") && die() == 0 && finds(NULL)); /* a circle */
  check(pop("list", true) == 0 && pop("list", true) == 2 && is_absent("list"));
  look("other list");
  set_number(&ours, dict_cell_at(&d, (uint32_t)found.head.number) + ELEMENT_HEAD, 0);
  check(die() == 0 && is_absent("other list"));
}

/* --- what cannot be ------------------------------------------------------------------------ */

/* The word of the key that was found is another one: it goes, and there is room for it. */
static void break_word(const char *key, uint64_t word, const char *wrong) {
  set_number(&ours, found.at, word);
  check(finds(wrong) && die() == 0 && finds(NULL) && is_absent(key));
  check(stripe_word(STRIPE_COUNT) == KEYS + 3 - 1);
  check(store(key, "again", 0) == 0 && has(key, "again") && finds(NULL));
}

/* A key in a slot, after those that were. */
static const char *next_key(void) {
  static int i;
  do
    look(key_of(i = (i + 1) % KEYS));
  while (found.entry == DICT_CHAIN || i % 50 == 0);
  return key_of(i);
}

TEST_WITH(fresh, words, "an item whose word or head cannot be is dropped, and it alone") {
  static char key[16];
  fill();
  strcpy(key, next_key());
  break_word(key, found.word & ~(uint64_t)WORD_VALID, "D3: a slot's word");
  strcpy(key, next_key());
  break_word(key, 0, "D3: a slot's word");
  strcpy(key, next_key());
  break_word(key, found.word | (uint64_t)UINT32_MAX << WORD_CELL, "D1: an item's head");
  strcpy(key, next_key());
  break_word(key, found.word ^ (uint64_t)1 << WORD_TAG, "D1: an item in another key's place");
  strcpy(key, next_key());
  set_number(&ours, cell_at(ITEM_HEAD), 0);
  break_word(key, found.word, "D1: an item's head");
  strcpy(key, next_key());
  set_word(&ours, cell_at(ITEM_KEY), 0);
  break_word(key, found.word, "D1: an item in another key's place");
  strcpy(key, next_key());
  *((unsigned char *)ours.data + d.at_owners + found.cell) = DICT_FREE;
  check(finds("D6: free cells") && die() == 0 && is_absent(key));
}

TEST_WITH(fresh, doubled, "a check names a key that has two items") {
  must(store("a", "one", 0) == 0);
  look("a");
  uint64_t at = found.at, word = found.word;
  set_number(&ours, at, WORD_VALID);
  must(store("a", "two", 0) == 0);
  set_number(&ours, dict_slot_at(where.line, found.entry + 1), word);
  check(finds("D1: a key twice"));
}

TEST_WITH(fresh, twice, "an item that is there twice stays once") {
  must(store("a", "one", 0) == 0);
  look("a");
  uint64_t line = where.line;
  int entry = found.entry == 0 ? 1 : 0;
  set_number(&ours, dict_slot_at(line, entry), found.word);
  check(finds("D6: a stripe's used cells") && die() == 0 && finds(NULL) && has("a", "one"));
  check(stripe_word(STRIPE_COUNT) == 1);
}

TEST_WITH(fresh, hot,
          "a hot number keeps its value; what is no number, or hot beside it, is not hot") {
  check(add("number", 1) == 1 && add("number", 2) == 3 && add("number", 3) == 6);
  look("number");
  check(found.word & WORD_HOT && die() == 0 && finds(NULL) && add("number", 4) == 10);
  look("number");
  uint64_t line = where.line;
  check(found.word & WORD_HOT);
  /* a second one, in the same line */
  for (int i = 0; i < 100000; i++) {
    must(shmseg_dict_locate(&d, key_of(i), strlen(key_of(i)), &where) == 0);
    if (where.line == line) {
      must(add(key_of(i), 5) == 5);
      look(key_of(i));
      break;
    }
  }
  set_number(&ours, found.at, found.word | WORD_HOT);
  check(finds("D5: hot numbers"));
  /* and one that leads nowhere */
  set_number(&ours, dict_slot_at(line, DICT_SLOTS - 1), 5ull << WORD_CELL | WORD_HOT | WORD_VALID);
  check(die() == 0 && finds(NULL) && add("number", 1) == 11);
  must(store("text", "text", 0) == 0);
  look("text");
  set_number(&ours, found.at, found.word | WORD_HOT);
  check(die() == 0 && finds(NULL) && is_absent("text"));
}

TEST_WITH(fresh, timed, "the index knows again which items may expire") {
  must(store("a", "one", 1000000) == 0);
  look("a");
  check(found.word & WORD_TIMED);
  set_number(&ours, found.at, found.word & ~(uint64_t)WORD_TIMED);
  check(finds("D1: an expiry that the index does not know of") && die() == 0 && finds(NULL));
  look("a");
  check(found.word & WORD_TIMED);
}

/* --- chains ------------------------------------------------------------------------------- */

/* A key that is in a chain, and at least so many behind it. */
static const char *chained_key(int behind) {
  for (int i = 0; i < KEYS; i++) {
    look(key_of(i));
    dict_head head = found.head;
    int count = 0;
    while (head.next != 0 && shmseg_dict_read_head(&d, head.next, &head))
      count++;
    if (i % 50 != 0 && found.entry == DICT_CHAIN && count >= behind)
      return key_of(i);
  }
  must(false);
  return NULL;
}

/* Gives the item that was found another key, which belongs into another line: most do. */
static void rename_found(void) {
  uint64_t line = where.line;
  for (uint32_t i = 0; where.line == line; i++) {
    set_word(&ours, cell_at(ITEM_KEY), i);
    const void *key = shmseg_object_at(&d.object, cell_at(ITEM_KEY));
    must(i < 100 && shmseg_dict_locate(&d, key, found.head.key_size, &where) == 0);
  }
}

TEST_WITH(fresh, chains, "an item that cannot be leaves the chain, and a circle ends") {
  static char key[16];
  fill();
  strcpy(key, chained_key(2));
  rename_found();
  check(finds("D1: an item in another key's place") && die() == 0 && finds(NULL));
  check(is_absent(key) && stripe_word(STRIPE_COUNT) == KEYS + 2); /* those behind it stay */
  must(store(key, key, 0) == 0);
  strcpy(key, chained_key(1));
  set_word(&ours, cell_at(ITEM_NEXT), found.cell);
  check(finds("D1: a chain without end") && die() == 0 && finds(NULL) && has(key, key));
}

/* Gives all chains that word, but the one in the line that is spared. */
static void break_chains(uint64_t value, uint64_t spared, const char *wrong) {
  for (uint64_t i = 0; i < d.lines; i++)
    if (dict_line_at(&d, 0, i) != spared)
      set_number(&ours, dict_line_at(&d, 0, i) + LINE_CHAIN, value);
  check(finds(wrong) && die() == 0 && finds(NULL));
}

TEST_WITH(fresh, chain_words, "a chain's word that cannot be becomes that of an empty chain") {
  fill();
  break_chains(0, 0, "D3: a chain's word");
  break_chains(UINT64_MAX, 0, "D1: an item's head");
  look(key_of(1));
  break_chains((uint64_t)found.cell << WORD_CELL | WORD_VALID, found.at / LINE_SIZE * LINE_SIZE,
               "D1: an item in another key's place");
}
