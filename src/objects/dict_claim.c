/* SPDX-License-Identifier: MIT */
/* Claims on the keys of a dict: who computes a value that many want.
 *
 * A claim's word has the identity of its owner, CLAIM_FREE for none, and 32 bits of the key's hash. It lies
 * in a line of 8 words that the key's hash tells. It is taken and voided under the stripe's lock. Its
 * owner frees it, without the lock; then it still has the hash and how the claim ended, for those who
 * waited, until somebody else takes it. So STRIPE_CLAIMS may be too large: a free word is counted until a
 * writer looks in vain.
 *
 * A dead owner's word is taken over by a swap from what was probed. */
#include <errno.h>

#include "core/lock.h"
#include "core/wait.h"
#include "objects/dict_find.h"

#define CLAIM_WORDS 8 /* of a line */
#define CLAIM_FREE ((uint64_t)SHMSEG_LOCK_FREE)
#define CLAIM_OWNER ((uint64_t)SHMSEG_ID_MAX)
#define CLAIM_HASH 30 /* 32 bits */
#define CLAIM_KEY ((uint64_t)UINT32_MAX << CLAIM_HASH)
#define CLAIM_VOID ((uint64_t)1 << 62)  /* of a free one: its owner failed */
#define CLAIM_EMPTY ((uint64_t)1 << 63) /* of a free one: there is no value */

/* How often a call finds that a dead owner's claim was taken over by somebody who died, too. */
#define TRIES 100

_Static_assert(SHMSEG_ID_MAX >> CLAIM_HASH == 0, "an identity and a hash in one word");

static uint64_t claim_line(const shmseg_dict *dict, const dict_key *key) {
  uint64_t line = dict->stripes > 1 ? key->stripe : (key->hash >> 32) % dict->claim_lines;
  return dict->at_claims + line * LINE_SIZE;
}

/* The bits of the hash that a word has: those that tell the key's line. */
static uint64_t claim_key(const dict_key *key) {
  return (key->hash & UINT32_MAX) << CLAIM_HASH;
}

static bool claim_is_free(uint64_t word) {
  return (word & CLAIM_OWNER) == CLAIM_FREE;
}

static uint64_t claim_load(const shmseg_dict *dict, uint64_t at) {
  return load_acquire(dict_word64(dict, at));
}

static uint64_t *claim_count(const dict_op *op) {
  return dict_own(op, STRIPE_CLAIMS);
}

/* Looks for a claim on the key: its offset, or 0. */
static uint64_t claim_find(const shmseg_dict *dict, const dict_key *key, uint64_t *word) {
  uint64_t at = claim_line(dict, key);
  for (int i = 0; i < CLAIM_WORDS; i++, at += 8) {
    *word = claim_load(dict, at);
    if (!claim_is_free(*word) && (*word & CLAIM_KEY) == claim_key(key))
      return at;
  }
  return 0;
}

void shmseg_dict_recount_claims(dict_op *op) {
  const shmseg_dict *dict = op->dict;
  bool is_one = dict->stripes == 1;
  uint64_t at = dict->at_claims + (is_one ? 0 : (uint64_t)op->stripe * LINE_SIZE), count = 0;
  uint64_t words = (is_one ? dict->claim_lines : 1) * (uint64_t)CLAIM_WORDS;
  for (uint64_t i = 0; i < words; i++)
    count += !claim_is_free(load_relaxed(dict_word64(dict, at + i * 8)));
  store_relaxed(claim_count(op), count);
}

void shmseg_dict_void(dict_op *op, const dict_key *key) {
  uint64_t word, at = claim_find(op->dict, key, &word);
  if (at == 0)
    shmseg_dict_recount_claims(op);
  else /* if its owner is faster, it was free before */
    cas_ordered(dict_word64(op->dict, at), &word, word | CLAIM_VOID);
}

/* --- taking ------------------------------------------------------------------------------------ */

static bool claim_is_dead(const shmseg_dict *dict, uint64_t word) {
  uint32_t id = (uint32_t)(word & CLAIM_OWNER);
  return id < SHMSEG_ID_MIN || !shmseg_liveness_probe(dict->object.segment->fd, id);
}

/* How good a place a word is: a free one that had the key, one that had none, another free one; 0: it is
 * taken. What waiters may still want to read of other keys is left alone as long as that is possible. */
static int claim_rank(uint64_t word, const dict_key *key) {
  if (!claim_is_free(word))
    return 0;
  if ((word & CLAIM_KEY) == claim_key(key))
    return 3;
  return word == CLAIM_FREE ? 2 : 1;
}

/* A free word of the key's line, or that of a dead owner. 0: all have living owners. */
static uint64_t claim_room(const shmseg_dict *dict, const dict_key *key, uint64_t *word) {
  uint64_t line = claim_line(dict, key), best = 0;
  int rank = 0;
  for (unsigned i = 0; i < CLAIM_WORDS; i++) { /* of equal ones not always the same is taken */
    uint64_t at = line + ((key->hash >> 29) + i) % CLAIM_WORDS * 8;
    uint64_t seen = claim_load(dict, at);
    if (claim_rank(seen, key) <= rank)
      continue;
    rank = claim_rank(seen, key);
    best = at;
    *word = seen;
  }
  for (unsigned i = 0; i < CLAIM_WORDS && best == 0; i++) {
    *word = claim_load(dict, line + (uint64_t)i * 8);
    if (claim_is_dead(dict, *word))
      best = line + (uint64_t)i * 8;
  }
  return best;
}

/* Makes the word at that offset ours. SHMSEG_CHANGED: it is another one by now. */
static int claim_swap(dict_op *op, const dict_key *key, uint64_t at, uint64_t word,
                      shmseg_dict_claim *claim) {
  uint64_t ours = op->id | claim_key(key);
  bool was_free = claim_is_free(word);
  int err = segment_status(op->dict->object.segment);
  if (err)
    return err;
  if (!cas_ordered(dict_word64(op->dict, at), &word, ours))
    return SHMSEG_CHANGED;
  if (was_free)
    store_relaxed(claim_count(op), load_relaxed(claim_count(op)) + 1);
  *claim = (shmseg_dict_claim){ .offset = at, .word = ours, .stamp = op->flush };
  return 0;
}

/* Nobody adds to the key's number any more without the stripe's lock: who does it with that voids the claim. */
static int claim_cool(dict_op *op, const dict_key *key) {
  dict_found found;
  int err = shmseg_dict_look(op, key, &found);
  return err ? (err == SHMSEG_EMPTY ? 0 : err) : shmseg_dict_cool(op, key->line, &found);
}

/* Under the lock: takes the claim; or notes in it which word's end is to be waited for. dead: the word of
 * an owner that was probed; 0: none. */
static int claim_try(dict_op *op, const dict_key *key, uint64_t dead, shmseg_dict_claim *claim) {
  uint64_t word, at = claim_find(op->dict, key, &word);
  if (at != 0 && (word & CLAIM_OWNER) == op->id)
    return SHMSEG_HELD;
  if (at != 0 && (dead == 0 || word != dead)) {
    *claim = (shmseg_dict_claim){ .word = word & ~CLAIM_VOID, .awaited = at };
    return segment_status(op->dict->object.segment);
  }
  if (at == 0)
    at = claim_room(op->dict, key, &word);
  if (at == 0)
    return ENOMEM;
  int err = claim_cool(op, key);
  return err ? err : claim_swap(op, key, at, word, claim);
}

static int claim_enter(shmseg_dict *dict, const dict_key *key, uint64_t dead,
                       shmseg_dict_claim *claim, int64_t *patience) {
  dict_op op = { .dict = dict, .stripe = key->stripe, .deadline = patience };
  int err = shmseg_dict_enter(&op);
  return err ? err : shmseg_dict_leave(&op, claim_try(&op, key, dead, claim));
}

/* --- waiting ----------------------------------------------------------------------------------- */

/* Has the claim that is waited for ended? Then how. */
static bool claim_has_ended(const shmseg_dict_claim *claim, uint64_t word,
                            shmseg_dict_outcome *outcome) {
  if ((word & ~CLAIM_VOID) == claim->word)
    return false;
  bool is_told = claim_is_free(word) && (word & CLAIM_KEY) == (claim->word & CLAIM_KEY);
  *outcome = is_told && word & CLAIM_EMPTY  ? SHMSEG_DICT_NO_VALUE
             : is_told && word & CLAIM_VOID ? SHMSEG_DICT_FAILED
                                            : SHMSEG_DICT_ENDED;
  return true;
}

/* Waits for the end of another one's claim: 0, and *outcome; or *dead is the word of a dead owner. */
static int claim_wait(const shmseg_dict *dict, const dict_key *key, const shmseg_dict_claim *claim,
                      shmseg_dict_outcome *outcome, uint64_t *dead, int64_t deadline) {
  uint64_t *at = dict_word64(dict, claim->awaited);
  uint32_t watched = shmseg_dict_ask(dict, key);
  uint64_t word = load_ordered(at);
  int err = segment_status(dict->object.segment);
  if (err || claim_has_ended(claim, word, outcome))
    return err;
  if (claim_is_dead(dict, word)) {
    *dead = word;
    return 0;
  }
  err = shmseg_dict_sleep(dict, key, watched, deadline);
  if (err != 0 && err != SHMSEG_TIMEOUT)
    return err;
  word = load_ordered(at);
  err = segment_status(dict->object.segment);
  return err || claim_has_ended(claim, word, outcome) ? err : shmseg_wait_again(deadline);
}

/* The claim is zeroes, or notes what is waited for. */
static int claim_take(shmseg_dict *dict, const dict_key *key, shmseg_dict_claim *claim,
                      shmseg_dict_outcome *outcome, int64_t deadline, int64_t *patience) {
  uint64_t dead = 0;
  for (int i = 0; i < TRIES; i++) {
    if (claim->awaited == 0 || dead != 0) {
      int err = claim_enter(dict, key, dead, claim, patience);
      if (err && err != SHMSEG_CHANGED)
        return err;
      if (claim->offset != 0) {
        *outcome = SHMSEG_DICT_CLAIMED;
        return 0;
      }
      dead = 0;
      if (err)
        continue;
    }
    int err = claim_wait(dict, key, claim, outcome, &dead, deadline);
    if (err || dead == 0)
      return err;
  }
  return shmseg_wait_again(deadline);
}

int shmseg_dict_claim_take(shmseg_dict *dict, const void *key, size_t key_size,
                           shmseg_dict_claim *claim, shmseg_dict_outcome *outcome, int64_t deadline,
                           int64_t *patience) {
  dict_key where;
  int err = dict_target(dict, key, key_size, &where);
  if (err)
    return err;
  if (claim->offset != 0)
    return SHMSEG_HELD;
  err = claim_take(dict, &where, claim, outcome, deadline, patience);
  if (err != SHMSEG_INTERRUPTED && claim->offset == 0)
    *claim = (shmseg_dict_claim){ 0 };
  return err;
}

/* --- what is claimed ---------------------------------------------------------------------------- */

/* Has this process, through this handle, taken it? */
static bool claim_is_ours(const shmseg_dict *dict, const shmseg_dict_claim *claim) {
  const shmseg_member *member = &dict->object.segment->member;
  return claim->offset >= dict->at_claims && claim->offset < dict->at_lines &&
         shmseg_liveness_own(member) && (claim->word & CLAIM_OWNER) == member->id;
}

bool shmseg_dict_claim_holds(const dict_op *op, const shmseg_dict_claim *claim) {
  return claim_is_ours(op->dict, claim) && claim->stamp == op->flush &&
         claim_load(op->dict, claim->offset) == claim->word;
}

bool shmseg_dict_claim_is_valid(const shmseg_dict *dict, const shmseg_dict_claim *claim) {
  if (claim->offset == 0 || shmseg_object_ready(&dict->object) != 0 || !claim_is_ours(dict, claim))
    return false;
  return claim_load(dict, claim->offset) == claim->word &&
         load_acquire(dict_word64(dict, DICT_FLUSH)) == claim->stamp &&
         segment_status(dict->object.segment) == 0;
}

void shmseg_dict_claim_end(shmseg_dict *dict, shmseg_dict_claim *claim, const void *key,
                           size_t key_size, shmseg_dict_outcome outcome) {
  shmseg_dict_claim ended = *claim;
  dict_key where;
  *claim = (shmseg_dict_claim){ 0 };
  if (ended.offset == 0 || shmseg_dict_locate(dict, key, key_size, &where) != 0 ||
      !claim_is_ours(dict, &ended))
    return;
  uint64_t told = outcome == SHMSEG_DICT_NO_VALUE ? CLAIM_EMPTY
                  : outcome == SHMSEG_DICT_FAILED ? CLAIM_VOID
                                                  : 0;
  uint64_t free = CLAIM_FREE | (ended.word & CLAIM_KEY) | told, word = ended.word;
  uint64_t *at = dict_word64(dict, ended.offset);
  if (cas_ordered(at, &word, free) ||
      (word == (ended.word | CLAIM_VOID) && cas_ordered(at, &word, free)))
    dict_notify(dict, where.stripe, where.line);
}

int shmseg_dict_claim_store(shmseg_dict *dict, shmseg_dict_claim *claim, const void *key,
                            size_t key_size, const shmseg_dict_value *value,
                            const shmseg_dict_how *how, bool *forcible, int64_t *deadline) {
  shmseg_dict_how ours = how ? *how : (shmseg_dict_how){ 0 };
  ours.claim = claim;
  int err = shmseg_dict_store(dict, key, key_size, value, &ours, forcible, deadline);
  if (err != SHMSEG_INTERRUPTED) /* the value is out before the claim is free */
    shmseg_dict_claim_end(dict, claim, key, key_size,
                          err == 0 || err == SHMSEG_CHANGED ? SHMSEG_DICT_ENDED
                                                            : SHMSEG_DICT_FAILED);
  return err;
}
