/* SPDX-License-Identifier: MIT */
/* Explains what processes were told: looks for an order of their operations in which a dict that is one
 * process's alone would have told the same. */
#include "nouns/dict/schedule.h"

#include <errno.h>
#include <string.h>

#undef memset

dict_event dict_events[EVENTS];
int dict_event_count;
static int kept; /* of the starting state */
static unsigned now;

/* A dict with one key. */
typedef struct {
  dict_state is;
  bool stale;
  unsigned version;         /* of a key that is there */
  unsigned seen[PROCESSES]; /* that each has got; 0: nothing was there */
  bool claims[PROCESSES];   /* who has a claim that is valid */
} world_of_key;

void history_clear(void) {
  dict_event_count = kept = 0;
  now = 0;
}

void history_keep(void) {
  kept = dict_event_count;
}

void history_begin(void) {
  dict_event_count = kept;
}

dict_event *history_add(int p, char op, unsigned key, int entry) {
  must(dict_event_count < EVENTS, "too many operations");
  dict_event *event = &dict_events[dict_event_count++];
  *event = (dict_event){ .p = p, .op = op, .key = key, .entry = entry, .begun = ++now };
  return event;
}

void history_end(dict_event *event, int err) {
  event->err = err;
  event->ended = ++now;
}

void history_forget(dict_event *event) {
  event->op = 0;
  event->ended = ++now;
}

/* --- a dict ----------------------------------------------------------------------------------- */

static bool is_live(const world_of_key *k) {
  return k->is.type != NOTHING && !k->stale;
}

static unsigned state_of(const world_of_key *k) {
  return is_live(k) ? k->version : 0;
}

static void void_claims(world_of_key *k) {
  memset(k->claims, 0, sizeof k->claims);
}

static int put(world_of_key *k, dict_state is) {
  k->is = is;
  k->stale = false;
  k->version++;
  void_claims(k);
  return 0;
}

static int set(world_of_key *k, const dict_event *e) {
  return put(k, (dict_state){ .type = VALUE, .entry = e->entry });
}

static int incr(world_of_key *k, dict_state *told) {
  dict_state is = { .type = NUMBER, .number = 1 };
  if (is_live(k) && k->is.type != NUMBER)
    return SHMSEG_WRONG_TYPE;
  if (is_live(k))
    is.number += k->is.number;
  *told = is;
  return put(k, is);
}

static int push(world_of_key *k, const dict_event *e, bool left, dict_state *told) {
  dict_state is = { .type = LIST };
  if (is_live(k) && k->is.type != LIST)
    return SHMSEG_WRONG_TYPE;
  if (is_live(k))
    is = k->is;
  must(is.number < LONGEST, "a list is too long");
  if (left)
    memmove(is.list + 1, is.list, (size_t)is.number * sizeof *is.list);
  is.list[left ? 0 : is.number] = e->entry;
  is.number++;
  told->number = is.number;
  return put(k, is);
}

static int pop(world_of_key *k, bool left, dict_state *told) {
  if (!is_live(k))
    return SHMSEG_EMPTY;
  if (k->is.type != LIST)
    return SHMSEG_WRONG_TYPE;
  dict_state is = k->is;
  is.number--;
  told->entry = is.list[left ? 0 : is.number];
  if (left)
    memmove(is.list, is.list + 1, (size_t)is.number * sizeof *is.list);
  is.list[is.number] = 0;
  is.type = is.number > 0 ? LIST : NOTHING;
  return put(k, is);
}

/* What is read of a list. */
static int list(const world_of_key *k, bool all, dict_state *told) {
  if (!is_live(k))
    return SHMSEG_EMPTY;
  if (k->is.type != LIST)
    return SHMSEG_WRONG_TYPE;
  *told = k->is;
  if (!all)
    memset(told->list, 0, sizeof told->list);
  return 0;
}

static int get(world_of_key *k, int p, dict_state *told) {
  k->seen[p] = state_of(k);
  if (!is_live(k))
    return SHMSEG_EMPTY;
  *told = k->is;
  memset(told->list, 0, sizeof told->list);
  return 0;
}

static int expire(world_of_key *k) {
  return k->is.type == NOTHING ? SHMSEG_EMPTY : put(k, k->is);
}

static int flush(world_of_key *k) {
  k->stale = k->is.type != NOTHING;
  void_claims(k);
  return 0;
}

static int drop(world_of_key *k) {
  return put(k, (dict_state){ .type = NOTHING });
}

static int claim_store(world_of_key *k, const dict_event *e) {
  return k->claims[e->p] ? set(k, e) : SHMSEG_CHANGED;
}

/* What the operation would be told. */
static int apply(world_of_key *k, const dict_event *e, dict_state *told) {
  switch (e->op) {
  case 's':
  case 'S': return set(k, e);
  case 'a': return is_live(k) ? EEXIST : set(k, e);
  case 'k': return k->seen[e->p] == state_of(k) ? set(k, e) : SHMSEG_CHANGED;
  case 'd':
  case 'v': return drop(k);
  case 'i': return incr(k, told);
  case 'p': return push(k, e, false, told);
  case 'P': return push(k, e, true, told);
  case 'q': return pop(k, true, told);
  case 'Q': return pop(k, false, told);
  case 'e': return list(k, true, told);
  case 'l': return list(k, false, told);
  case 'g': return get(k, e->p, told);
  case 'x':
  case 'X': return expire(k);
  case 'f': return flush(k);
  case 'F': return k->stale ? drop(k) : 0;
  case 'w': return k->seen[e->p] == state_of(k) && !w.excused ? SHMSEG_TIMEOUT : 0;
  case 'c': k->claims[e->p] = true; return 0;
  case 'C': return claim_store(k, e);
  case 'n': k->claims[e->p] = false; return 0;
  default: return 0;
  }
}

/* --- the order -------------------------------------------------------------------------------- */

/* Does it lock the stripe? These come one behind the other, whatever they see of the rest. */
static bool locks(char op) {
  return op != 'g' && op != 'e' && op != 'l' && op != 'w' && op != 'f' && op != 'n';
}

static bool is_before(const dict_event *a, const dict_event *b) {
  if (a->ended == 0 || a->ended > b->begun)
    return false;
  return !w.stale || a->p == b->p || a->p == FRESH || b->p == FRESH ||
         (locks(a->op) && locks(b->op));
}

static bool is_told(const dict_event *e, int err, const dict_state *told) {
  if (e->err != err)
    return e->op == 'k' && e->err == SHMSEG_CHANGED &&
           w.excused; /* a repair gives all new versions */
  return memcmp(&e->told, told, sizeof *told) == 0;
}

static bool search(const world_of_key *k, unsigned left);

/* Goes on behind that operation. */
static bool follow(const world_of_key *k, unsigned left, int i) {
  const dict_event *e = &dict_events[i];
  world_of_key next = *k;
  dict_state told;
  memset(&told, 0, sizeof told);
  int err = apply(&next, e, &told);
  if (e->ended != 0 && !is_told(e, err, &told))
    return false;
  if (e->ended != 0 && e->err != err)
    next = *k;
  return search(&next, left & ~(1u << i));
}

/* Its process died at it: it has not happened, but that it made claims void. */
static bool follow_dead(const world_of_key *k, unsigned left, int i) {
  world_of_key next = *k;
  if (search(k, left & ~(1u << i)))
    return true;
  void_claims(&next);
  return search(&next, left & ~(1u << i));
}

/* Can what is left be put in an order? */
static bool search(const world_of_key *k, unsigned left) {
  if (left == 0)
    return true;
  for (int i = 0; i < dict_event_count; i++) {
    bool is_first = left >> i & 1;
    for (int j = 0; is_first && j < dict_event_count; j++)
      is_first = !(left >> j & 1) || !is_before(&dict_events[j], &dict_events[i]);
    if (!is_first)
      continue;
    if (follow(k, left, i) || (dict_events[i].ended == 0 && follow_dead(k, left, i)))
      return true;
  }
  return false;
}

bool history_is_explained(unsigned key) {
  world_of_key k;
  unsigned all = 0;
  memset(&k, 0, sizeof k);
  for (int i = 0; i < dict_event_count; i++) {
    const dict_event *e = &dict_events[i];
    if (e->op != 0 && (e->key == key || e->op == 'f'))
      all |= 1u << i;
  }
  return search(&k, all);
}
