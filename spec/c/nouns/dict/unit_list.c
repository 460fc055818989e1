/* SPDX-License-Identifier: MIT */
/* objects/dict_list: elements that come and go at both ends of a list. */
#include <errno.h>
#include <string.h>

#include "nouns/dict/help.h"
#include "unit/help.h"

#define CAPACITY 16384
#define LONGEST 1000 /* bytes of an element */
#define MOST 64      /* elements of the model */
#define LEFT true
#define RIGHT false

static unsigned char buffer[CAPACITY], other[CAPACITY];
static shmseg_dict_value popped;
static uint64_t length;
static bool forcible;

static void set_up(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 0);
}

static const test_fixture fresh = { set_up, close_dict };

static int push_value(const char *key, bool left, const shmseg_dict_value *value) {
  return shmseg_dict_push(&d, key, strlen(key), left, value, &length, &patience);
}

static int push(const char *key, bool left, const void *bytes, size_t size) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
  return push_value(key, left, &value);
}

static int push_integer(const char *key, bool left, int64_t integer) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = integer };
  return push_value(key, left, &value);
}

static int pop(const char *key, bool left) {
  return shmseg_dict_pop(&d, key, strlen(key), left, buffer, sizeof buffer, &popped, &patience);
}

static bool pops(const char *key, bool left, const char *bytes) {
  return pop(key, left) == 0 && popped.type == SHMSEG_DICT_STRING && popped.size == strlen(bytes) &&
         memcmp(popped.bytes, bytes, popped.size) == 0;
}

static bool pops_integer(const char *key, bool left, int64_t integer) {
  return pop(key, left) == 0 && popped.type == SHMSEG_DICT_INTEGER && popped.integer == integer;
}

static int set(const char *key, const void *bytes, size_t size, int64_t ttl) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
  shmseg_dict_how how = { .ttl = ttl };
  return shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &patience);
}

static int get(const char *key) {
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &popped);
}

static shmseg_dict_stats stats_now(void) {
  shmseg_dict_stats stats;
  must(shmseg_dict_get_stats(&d, &stats) == 0);
  return stats;
}

/* What expires is found by its word. */
static uint64_t expiry_of(const char *key) {
  dict_key where;
  dict_found found;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
  check(found.head.expiry == 0 || found.word & WORD_TIMED);
  return found.head.expiry;
}

/* The item's words are written over, as by a peer, or as if time had passed. */
static void set_item(const char *key, uint64_t offset, uint64_t value) {
  dict_key where;
  dict_found found;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
  set_number(&ours, dict_cell_at(&d, found.cell) + offset, value);
}

/* Nothing is stored any more, and nothing is lost. */
static bool is_empty(void) {
  shmseg_dict_stats stats = stats_now();
  return stats.count == 0 && stats.bytes == 0 && stats.free == CAPACITY &&
         shmseg_dict_check(&d) == NULL;
}

TEST_WITH(fresh, ends, "elements come off a list at the end that is asked for") {
  check(pop("k", LEFT) == SHMSEG_EMPTY && pop("k", RIGHT) == SHMSEG_EMPTY);
  check(push("k", RIGHT, "b", 1) == 0 && length == 1);
  check(push("k", LEFT, "a", 1) == 0 && length == 2);
  check(push("k", RIGHT, "c", 1) == 0 && length == 3);
  check(push("k", RIGHT, "", 0) == 0 && length == 4);
  check(stats_now().count == 1 && stats_now().bytes == 1 + 3);
  check(pops("k", LEFT, "a") && pops("k", RIGHT, "") && pops("k", RIGHT, "c"));
  check(shmseg_dict_length(&d, "k", 1, &length) == 0 && length == 1);
  check(pops("k", LEFT, "b") && shmseg_dict_length(&d, "k", 1, &length) == SHMSEG_EMPTY);
  check(pop("k", LEFT) == SHMSEG_EMPTY && is_empty());
}

TEST_WITH(fresh, types, "an element keeps its type; what is no element is refused") {
  shmseg_dict_value value = { .type = SHMSEG_DICT_FLOAT, .number = -0.0 };
  check(push_integer("k", RIGHT, INT64_MIN) == 0 && push_value("k", RIGHT, &value) == 0);
  check(push("k", RIGHT, "\0\xff", 2) == 0 && stats_now().bytes == 1 + 8 + 8 + 2);
  check(pops_integer("k", LEFT, INT64_MIN));
  check(pop("k", LEFT) == 0 && popped.type == SHMSEG_DICT_FLOAT && popped.number == 0.0 &&
        popped.integer == INT64_MIN);
  check(pop("k", LEFT) == 0 && popped.size == 2 && memcmp(buffer, "\0\xff", 2) == 0);
  shmseg_dict_type refused[] = { SHMSEG_DICT_BOOLEAN, SHMSEG_DICT_CODED, SHMSEG_DICT_LIST, 0, 7 };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    value = (shmseg_dict_value){ .type = refused[i] };
    check(push_value("k", LEFT, &value) == EINVAL);
  }
  check(push("", LEFT, "a", 1) == EINVAL && is_empty());
}

TEST_WITH(fresh, room, "an element that the caller has no room for stays") {
  check(push("k", LEFT, "abcdef", 6) == 0);
  check(shmseg_dict_pop(&d, "k", 1, LEFT, buffer, 5, &popped, &patience) == SHMSEG_TOO_SMALL &&
        popped.size == 6);
  check(shmseg_dict_length(&d, "k", 1, &length) == 0 && length == 1);
  check(shmseg_dict_pop(&d, "k", 1, LEFT, buffer, 6, &popped, &patience) == 0 && is_empty());
}

TEST_WITH(fresh, no_list, "a live value is no list, and stays") {
  check(set("k", "value", 5, 0) == 0);
  check(push("k", LEFT, "a", 1) == SHMSEG_WRONG_TYPE && pop("k", LEFT) == SHMSEG_WRONG_TYPE);
  check(get("k") == 0 && popped.size == 5);
}

TEST_WITH(fresh, stale, "what has expired makes place for a list that does not expire") {
  check(set("v", "value", 5, 60000) == 0 && push("l", LEFT, "old", 3) == 0);
  check(shmseg_dict_expire(&d, "l", 1, 60000, &patience) == 0);
  set_item("v", ITEM_EXPIRY, 1);
  set_item("l", ITEM_EXPIRY, 1);
  check(pop("v", LEFT) == SHMSEG_EMPTY && pop("l", LEFT) == SHMSEG_EMPTY);
  check(push("v", LEFT, "new", 3) == 0 && length == 1 && expiry_of("v") == 0);
  check(push("l", LEFT, "new", 3) == 0 && length == 1 && expiry_of("l") == 0);
  check(stats_now().count == 2 && stats_now().bytes == 2 * 4 && stats_now().expired == 2);
  check(pops("v", LEFT, "new") && pops("l", LEFT, "new") && is_empty());
}

TEST_WITH(fresh, expiry, "pushes and pops keep the time at which a list expires") {
  check(push("k", LEFT, "a", 1) == 0 && shmseg_dict_expire(&d, "k", 1, 60000, &patience) == 0);
  uint64_t expiry = expiry_of("k");
  check(expiry != 0 && push("k", LEFT, "b", 1) == 0 && expiry_of("k") == expiry);
  check(pops("k", RIGHT, "a") && expiry_of("k") == expiry);
}

TEST_WITH(fresh, freed, "a value in the place of a list, and a delete, free all elements") {
  memset(other, 'x', sizeof other);
  for (int i = 0; i < 20; i++)
    check(push("k", RIGHT, other, (size_t)i * 10) == 0 && push("l", LEFT, other, 100) == 0);
  check(set("k", "a", 1, 0) == 0 && stats_now().bytes == 2 + 1 + 20 * 100);
  check(shmseg_dict_delete(&d, "k", 1, NULL, &patience) == 0);
  check(shmseg_dict_delete(&d, "l", 1, NULL, &patience) == 0 && is_empty());
}

TEST_WITH(fresh, refused, "a push without room changes nothing, and evicts nothing that is live") {
  memset(other, 'x', sizeof other);
  check(push("k", LEFT, other, CAPACITY / 2 + 1) == EFBIG && is_empty());
  check(set("live", other, CAPACITY / 2, 0) == 0);
  int err, pushed = 0;
  while ((err = push("k", LEFT, other, LONGEST)) == 0)
    pushed++;
  check(err == ENOMEM && pushed > 5 && push("m", LEFT, other, LONGEST) == ENOMEM);
  check(shmseg_dict_length(&d, "k", 1, &length) == 0 && length == (uint64_t)pushed);
  check(get("live") == 0 && get("m") == SHMSEG_EMPTY && stats_now().evicted == 0);
  check(stats_now().refused == 3 && shmseg_dict_check(&d) == NULL);
}

TEST_WITH(fresh, reclaimed, "a push takes the memory of what has expired") {
  memset(other, 'x', sizeof other);
  check(set("old", other, CAPACITY / 2, 60000) == 0);
  while (push("k", LEFT, other, LONGEST) == 0)
    ;
  set_item("old", ITEM_EXPIRY, 1);
  check(push("k", LEFT, other, LONGEST) == 0 && stats_now().expired == 1);
  check(push("m", LEFT, other, LONGEST) == 0 && shmseg_dict_check(&d) == NULL);
}

TEST_WITH(fresh, corrupt,
          "a list whose ends lead out of the dict is corrupt, and is not followed") {
  uint64_t outside[] = { 0, UINT64_MAX, d.cells | d.cells << 32 };
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
    for (int how = 0; how < 3; how++) {
      check(push("k", LEFT, "a", 1) == 0 && push("k", LEFT, "b", 1) == 0);
      set_item("k", ITEM_NUMBER, outside[i]);
      check((how == 0   ? push("k", LEFT, "c", 1)
             : how == 1 ? push("k", RIGHT, "c", 1)
                        : pop("k", how)) == SHMSEG_CORRUPT);
      check(push("other", LEFT, "c", 1) == 0 && pops("other", LEFT, "c")); /* it is repaired */
      check(pop("k", LEFT) == SHMSEG_EMPTY);
      check(is_empty());
    }
}

/* Links the second element of the list to the first one, and lets it have as many as can be counted. */
static void make_ring(const char *key) {
  dict_key where;
  dict_found found;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
  uint32_t first = (uint32_t)found.head.number;
  uint32_t *link = dict_word32(&d, dict_cell_at(&d, first) + ELEMENT_NEXT);
  store_relaxed(dict_word32(&d, dict_cell_at(&d, *link) + ELEMENT_NEXT), first);
  uint64_t *head = dict_word64(&d, dict_cell_at(&d, found.cell) + ITEM_HEAD);
  store_relaxed(head, *head | (uint64_t)UINT32_MAX << 32);
}

TEST_WITH(fresh, ring, "a list that a peer has made a ring comes to an end all the same") {
  for (int how = 0; how < 3; how++) {
    for (int i = 0; i < 3; i++)
      check(push("k", RIGHT, "a", 1) == 0);
    make_ring("k");
    if (how == 0)
      check(shmseg_dict_delete(&d, "k", 1, NULL, &patience) == 0);
    else if (how == 1)
      check(set("k", "value", 5, 0) == 0);
    else
      check(shmseg_dict_flush_all(&d) == 0 && shmseg_dict_expire(&d, "k", 1, 0, &patience) == 0);
    check(push("other", LEFT, "c", 1) == 0 && pops("other", LEFT, "c")); /* it is repaired */
    shmseg_dict_delete(&d, "k", 1, NULL, &patience);
  }
}

/* --- against a model ------------------------------------------------------------------------- */

typedef struct {
  size_t size;
  unsigned char byte;
} element;

static element model[MOST];
static uint64_t count;

static uint64_t draw(uint64_t below) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % below;
}

static void model_push(bool left) {
  element e = { (size_t)draw(draw(2) ? 40 : LONGEST), (unsigned char)draw(256) };
  memset(other, e.byte, sizeof other);
  if (push("k", left, other, e.size) != 0)
    return;
  if (left)
    memmove(model + 1, model, count * sizeof *model);
  model[left ? 0 : count] = e;
  check(length == ++count);
}

static void model_pop(bool left) {
  int err = pop("k", left);
  check((err == 0) == (count > 0));
  if (err)
    return;
  element e = model[left ? 0 : --count];
  if (left)
    memmove(model, model + 1, --count * sizeof *model);
  memset(other, e.byte, sizeof other);
  check(popped.size == e.size && memcmp(buffer, other, e.size) == 0);
}

/* Are all elements those of the model, in its order? */
static bool is_model(void) {
  size_t size = 0, at = 0;
  uint64_t found = 0;
  int err = shmseg_dict_elements(&d, "k", 1, buffer, sizeof buffer, &size, &found);
  if (count == 0)
    return err == SHMSEG_EMPTY;
  if (err || found != count)
    return false;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t bytes;
    memcpy(&bytes, buffer + at + 1, sizeof bytes);
    memset(other, model[i].byte, sizeof other);
    if (buffer[at] != SHMSEG_DICT_STRING || bytes != model[i].size ||
        memcmp(buffer + at + 9, other, model[i].size) != 0)
      return false;
    at += 9 + model[i].size;
  }
  return at == size;
}

TEST_WITH(fresh, modelled, "a list is what a model says after each of many pushes and pops") {
  count = 0;
  for (int i = 0; i < 5000; i++) {
    bool grows = draw(100) < (i / 500 % 2 ? 30 : 70);
    if (grows && count < MOST)
      model_push(draw(2));
    else
      model_pop(draw(2));
    check(is_model());
    if (i % 100 == 0)
      check(shmseg_dict_check(&d) == NULL);
  }
  while (count > 0)
    model_pop(LEFT);
  check(is_empty());
}
