/* SPDX-License-Identifier: MIT */
/* The public C API of the dict. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_DICT_H
#define SHMSEG_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/object.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A dictionary: keys and values that processes share. Reads take no lock. Writers lock one part of
 * it, a stripe, for a short time.
 *
 * Options: capacity, bytes of all that is stored, each item rounded up to 64; evict, what becomes of
 * live items when they are too many; items, the expected number of them, for which the index is
 * made. A key has 1 to SHMSEG_DICT_KEY_MAX bytes (else EINVAL), a value at most half of the capacity.
 *
 * Times to live are milliseconds of the system's real-time clock.
 *
 * Reads return SHMSEG_EMPTY when the key is not there, or has expired; SHMSEG_TIMEOUT when writers
 * were faster at each try for 100 ms. Calls that write take *deadline, which is 0 at the first call
 * and is set, 5 s ahead, when the call has to wait for another writer: then SHMSEG_TIMEOUT, and
 * before it SHMSEG_INTERRUPTED: call again with the same *deadline. A call that fails has changed
 * nothing, but it may have evicted. */
#define SHMSEG_DICT_KEY_MAX 65535

/* The option evict. */
#define SHMSEG_DICT_LRU 1  /* items that were not used for long go; the default */
#define SHMSEG_DICT_NONE 2 /* nothing live goes: ENOMEM */

typedef struct shmseg_dict {
  shmseg_object object;

  /* private: the geometry, worked out */
  uint64_t quota;   /* cells that items may take */
  uint64_t cells;   /* that there are */
  uint64_t lines;   /* of each stripe */
  uint32_t stripes; /* a power of 2 */
  uint32_t claim_lines;
  uint64_t at_claims, at_lines, at_pages, at_owners, at_links, at_cells; /* offsets */
  uint64_t key[2]; /* of the hash; 0: not drawn yet */
} shmseg_dict;

SHMSEG_OBJECT(dict);

typedef enum {
  SHMSEG_DICT_BOOLEAN = 1,
  SHMSEG_DICT_INTEGER = 2,
  SHMSEG_DICT_FLOAT = 3,
  SHMSEG_DICT_STRING = 4,
  SHMSEG_DICT_CODED = 5, /* bytes that a codec has made */
  SHMSEG_DICT_LIST = 6
} shmseg_dict_type;

/* Which state of a key was seen: it differs whenever the value, or its absence, does. Of an absent key
 * word is 0. */
typedef struct shmseg_dict_token {
  uint64_t word, number, epoch;
} shmseg_dict_token;

typedef struct shmseg_dict_value {
  shmseg_dict_type type;
  int32_t flags; /* the user's; of no meaning to the dict */
  union {
    int64_t integer; /* also of a boolean, 0 or 1; of a list: the number of its elements */
    double number;
  };
  const void *bytes; /* of a string or coded value; a read sets it to the caller's buffer */
  size_t size;
  shmseg_dict_token token; /* set by reads */
  bool stale;              /* set by reads: it has expired, or was flushed */
} shmseg_dict_value;

/* --- reading ------------------------------------------------------------------------------ */

/* The value of a key, copied to buffer. SHMSEG_TOO_SMALL: value->size bytes are needed. Of a list only
 * the number of elements. value->token is set also with SHMSEG_EMPTY. */
SHMSEG_API int shmseg_dict_get(const shmseg_dict *dict, const void *key, size_t key_size,
                               void *buffer, size_t available, shmseg_dict_value *value);

/* The same also for a value that has expired and is still there. */
SHMSEG_API int shmseg_dict_get_stale(const shmseg_dict *dict, const void *key, size_t key_size,
                                     void *buffer, size_t available, shmseg_dict_value *value);

/* Where the value of a key was found, for who keeps a copy of it. Private. */
typedef struct shmseg_dict_spot {
  uint64_t at, word, epoch, flush;
  uint32_t stripe, type;
} shmseg_dict_spot;

/* Sets *spot to that of the value that a read gave with the token. SHMSEG_CHANGED: it is another one by
 * now, or one whose change a spot does not show: a number or list, or a value that expires. */
SHMSEG_API int shmseg_dict_find_spot(const shmseg_dict *dict, const void *key, size_t key_size,
                                     const shmseg_dict_token *token, shmseg_dict_spot *spot);

/* Is the value still that of the key? Then this is a use of it, as a get is. Never true by mistake; false
 * says little: read it again. */
SHMSEG_API bool shmseg_dict_is_current(const shmseg_dict *dict, const shmseg_dict_spot *spot);

/* For gets of many keys: fetches what they will read into the cache, in two steps, and waits for
 * nothing. The first is to be made for all keys before the second. It gives a number that stands for
 * the key in this dict, for the second. */
SHMSEG_API uint64_t shmseg_dict_prefetch(const shmseg_dict *dict, const void *key, size_t key_size);
SHMSEG_API void shmseg_dict_prefetch_item(const shmseg_dict *dict, uint64_t number);

/* *ttl: milliseconds left; 0: it does not expire; negative: since when it has expired, or was
 * flushed. SHMSEG_EMPTY only when nothing is there. */
SHMSEG_API int shmseg_dict_ttl(const shmseg_dict *dict, const void *key, size_t key_size,
                               int64_t *ttl);

/* All elements of a live list, from the left, one behind the other: each a type (1 byte) and 8 bytes, the
 * size of a string or the bits of a number; then the string's bytes. *size bytes in all, of *count elements.
 * SHMSEG_TOO_SMALL; SHMSEG_WRONG_TYPE when it is no list. */
SHMSEG_API int shmseg_dict_elements(const shmseg_dict *dict, const void *key, size_t key_size,
                                    void *buffer, size_t available, size_t *size, uint64_t *count);

/* The number of elements of a list; SHMSEG_EMPTY, SHMSEG_WRONG_TYPE. While somebody pushes or pops it may be
 * that of before, though shmseg_dict_elements() gives those of after it already. */
SHMSEG_API int shmseg_dict_length(const shmseg_dict *dict, const void *key, size_t key_size,
                                  uint64_t *length);

/* The live keys that begin with prefix, in pieces: *cursor is 0 at first, and each call gives those
 * of the next place that has some: each is its size (4 bytes) and its bytes; *size bytes in all. A
 * key that is there all the time comes exactly once. SHMSEG_EMPTY: that was all. SHMSEG_TOO_SMALL:
 * *size bytes are needed, *cursor is as before. SHMSEG_INTERRUPTED: there was none in many places,
 * *cursor has moved: call again. */
SHMSEG_API int shmseg_dict_scan(const shmseg_dict *dict, uint64_t *cursor, const void *prefix,
                                size_t prefix_size, void *buffer, size_t available, size_t *size);

typedef struct shmseg_dict_stats {
  uint64_t count;    /* items, also expired ones that are still there; not flushed ones */
  uint64_t bytes;    /* of their keys and values */
  uint64_t capacity; /* bytes */
  uint64_t free;     /* capacity minus the rounded sizes of all that is there */
  uint64_t evicted;  /* live items that went to make room */
  uint64_t expired;  /* expired ones that were reclaimed */
  uint64_t refused;  /* writes that found no memory, or whose value can never fit */
  uint64_t repaired; /* stripes, after a writer's death */
} shmseg_dict_stats;

SHMSEG_API int shmseg_dict_get_stats(const shmseg_dict *dict, shmseg_dict_stats *stats);

/* --- writing ------------------------------------------------------------------------------ */

/* How a value is stored; zeroes: whatever is there, for ever, with eviction. */
typedef struct shmseg_dict_how {
  bool add;                       /* EEXIST when the key is there and live */
  bool replace;                   /* SHMSEG_EMPTY when it is not */
  bool safe;                      /* evicts nothing that is live */
  bool keep;                      /* keeps the expiry and flags of the live value */
  int64_t ttl;                    /* milliseconds from now; 0: for ever */
  const shmseg_dict_token *token; /* SHMSEG_CHANGED when the key's state is another one; or NULL */
  const shmseg_dict_value *expected; /* SHMSEG_CHANGED when the live value is not equal to it, as
                                        numbers, or bytes of the same type; or NULL */
  const struct shmseg_dict_claim *claim; /* SHMSEG_CHANGED when it is not valid; or NULL */
} shmseg_dict_how;

/* Are the two equal as .expected means it? NaN equals nothing. */
SHMSEG_API bool shmseg_dict_values_equal(const shmseg_dict_value *a, const shmseg_dict_value *b);

/* Stores a value. *forcible: a live item was evicted; also set on failure. ENOMEM: there is no room;
 * EFBIG: nor can there be; SHMSEG_WRONG_TYPE: expected is given, or token or keep, and a list is there. */
SHMSEG_API int shmseg_dict_store(shmseg_dict *dict, const void *key, size_t key_size,
                                 const shmseg_dict_value *value, const shmseg_dict_how *how,
                                 bool *forcible, int64_t *deadline);

/* Deletes the key; 0 also when it is not there. Of how, which may be NULL, the conditions count: add,
 * replace, token, expected, claim. */
SHMSEG_API int shmseg_dict_delete(shmseg_dict *dict, const void *key, size_t key_size,
                                  const shmseg_dict_how *how, int64_t *deadline);

/* What incr does: adds step to a live number, whose expiry and flags stay, or stores init + step.
 * Integers stay integers and wrap; an integer and a float make a float. */
typedef struct shmseg_dict_step {
  shmseg_dict_value step; /* integer or float */
  shmseg_dict_value init; /* type 0: none; then SHMSEG_EMPTY when the key is not there */
  int64_t ttl;            /* of a new one, milliseconds; 0: for ever */
  bool exact;             /* an integer sum must be one that a double holds */
} shmseg_dict_step;

/* SHMSEG_WRONG_TYPE: the live value is no number. ERANGE: the sum, that of *result, would not be exact. */
SHMSEG_API int shmseg_dict_incr(shmseg_dict *dict, const void *key, size_t key_size,
                                const shmseg_dict_step *step, shmseg_dict_value *result,
                                bool *forcible, int64_t *deadline);

/* Where a number is that was added to before, for who adds to it again and again. SHMSEG_CHANGED: it is no
 * such number, or one that expires. */
SHMSEG_API int shmseg_dict_find_hot(const shmseg_dict *dict, const void *key, size_t key_size,
                                    shmseg_dict_spot *spot);

/* Adds to the number, if it is still the key's; SHMSEG_CHANGED: shmseg_dict_incr() knows. result->flags is
 * not told. ERANGE as there. */
SHMSEG_API int shmseg_dict_incr_at(shmseg_dict *dict, const shmseg_dict_spot *spot,
                                   const shmseg_dict_step *step, shmseg_dict_value *result,
                                   int64_t *deadline);

/* Puts an element (integer, float or string) on the left or right end of a list, which is made if there is
 * none. *length: the new one. ENOMEM, EFBIG, SHMSEG_WRONG_TYPE. */
SHMSEG_API int shmseg_dict_push(shmseg_dict *dict, const void *key, size_t key_size, bool left,
                                const shmseg_dict_value *value, uint64_t *length,
                                int64_t *deadline);

/* Takes an element off. SHMSEG_EMPTY; SHMSEG_WRONG_TYPE; SHMSEG_TOO_SMALL: value->size bytes are needed, it
 * stays. The last one takes the key with it. */
SHMSEG_API int shmseg_dict_pop(shmseg_dict *dict, const void *key, size_t key_size, bool left,
                               void *buffer, size_t available, shmseg_dict_value *value,
                               int64_t *deadline);

/* The element that a pop would give, which stays. value->token is the state that the list was in. Takes no lock, as
 * the reads. */
SHMSEG_API int shmseg_dict_peek(const shmseg_dict *dict, const void *key, size_t key_size,
                                bool left, void *buffer, size_t available,
                                shmseg_dict_value *value);

/* Takes the element off that a peek has given, if the list is still in that state: else SHMSEG_CHANGED. */
SHMSEG_API int shmseg_dict_pop_seen(shmseg_dict *dict, const void *key, size_t key_size, bool left,
                                    const shmseg_dict_token *seen, int64_t *deadline);

/* Gives a key that is there, also an expired one, another time to live: it lives then. SHMSEG_EMPTY. */
SHMSEG_API int shmseg_dict_expire(shmseg_dict *dict, const void *key, size_t key_size, int64_t ttl,
                                  int64_t *deadline);

/* All that is there counts as expired from now on. Its time does not depend on how much that is. */
SHMSEG_API int shmseg_dict_flush_all(shmseg_dict *dict);

/* Frees expired items, at most max of them (0: all). *freed grows, and *cursor, 0 at first, moves,
 * also with SHMSEG_INTERRUPTED. */
SHMSEG_API int shmseg_dict_flush_expired(shmseg_dict *dict, uint64_t max, uint64_t *cursor,
                                         uint64_t *freed, int64_t *deadline);

/* --- waiting, and computing once ------------------------------------------------------------- */

/* Waits until the key's state differs from the token's: 0. SHMSEG_TIMEOUT, SHMSEG_INTERRUPTED. Through a
 * read-only handle it looks every few milliseconds. */
SHMSEG_API int shmseg_dict_wait(const shmseg_dict *dict, const void *key, size_t key_size,
                                const shmseg_dict_token *seen, int64_t deadline);

/* How a claim ended, or why it could not be taken. */
typedef enum {
  SHMSEG_DICT_CLAIMED, /* it is ours */
  SHMSEG_DICT_ENDED,   /* the one that was waited for has ended: there may be a value now */
  SHMSEG_DICT_NO_VALUE, /* the one that was waited for has ended: its owner says that there is no value */
  SHMSEG_DICT_FAILED /* the one that was waited for has ended: its owner has failed */
} shmseg_dict_outcome;

/* The right to compute the value of a key. Another one's write to the key, or a flush, voids it; its
 * owner's death gives it back. */
typedef struct shmseg_dict_claim {
  uint64_t offset; /* of the word that has it; 0: none */
  uint64_t word, stamp;
  uint64_t awaited; /* private: offset of another one's word, whose end is waited for */
} shmseg_dict_claim;

/* Claims a key: 0, and *outcome says how. Waits while somebody else has it, until deadline:
 * SHMSEG_TIMEOUT, SHMSEG_INTERRUPTED. SHMSEG_HELD: this segment handle has claimed it itself. ENOMEM:
 * there are too many claims. *claim is zeroes at first, and *patience, the deadline of the locks, 0. */
SHMSEG_API int shmseg_dict_claim_take(shmseg_dict *dict, const void *key, size_t key_size,
                                      shmseg_dict_claim *claim, shmseg_dict_outcome *outcome,
                                      int64_t deadline, int64_t *patience);

/* Does the handle that took it still have the claim, and is it not void? */
SHMSEG_API bool shmseg_dict_claim_is_valid(const shmseg_dict *dict, const shmseg_dict_claim *claim);

/* Stores the value, as shmseg_dict_store() does, if the claim is valid: else SHMSEG_CHANGED, and nothing is
 * stored. The claim ends unless the call is to be repeated (SHMSEG_INTERRUPTED). */
SHMSEG_API int shmseg_dict_claim_store(shmseg_dict *dict, shmseg_dict_claim *claim, const void *key,
                                       size_t key_size, const shmseg_dict_value *value,
                                       const shmseg_dict_how *how, bool *forcible,
                                       int64_t *deadline);

/* Ends the claim, and wakes those who wait for it, who learn the outcome: SHMSEG_DICT_ENDED, NO_VALUE or
 * FAILED. Harmless without a claim. */
SHMSEG_API void shmseg_dict_claim_end(shmseg_dict *dict, shmseg_dict_claim *claim, const void *key,
                                      size_t key_size, shmseg_dict_outcome outcome);

#ifdef __cplusplus
}
#endif

#endif
