/* SPDX-License-Identifier: MIT */
/* Where the words of a dict are, and what they mean. dict.c describes the whole. */
#ifndef SHMSEG_OBJECTS_DICT_LAYOUT_H
#define SHMSEG_OBJECTS_DICT_LAYOUT_H

#include <stdint.h>

/* --- offsets in the object ---------------------------------------------------------------- */

#define DICT_KEY 64   /* 2 words: the hash's key, 0 while nobody has drawn it */
#define DICT_FLUSH 80 /* the flush stamp: milliseconds since 1970, or 1 */
#define DICT_ARENA_LOCK 128
#define DICT_LARGE_LOCK 132
#define DICT_FRESH 136   /* 32 bits: the first page that was never used; page 0 is none */
#define DICT_GRANTED 144 /* cells that are not free; derived from the owners */
#define DICT_FILLED 152  /* bit n - 1: bin n has a page; derived */
#define DICT_BINS 192 /* 64 x 32 bits: bin n's first page, whose longest free run is n; 0: none */
#define DICT_STRIPES 512

/* In a stripe. */
#define STRIPE_SIZE 256
#define STRIPE_LOCK 0
#define STRIPE_EPOCH 8  /* how many changes there were, from 1 on */
#define STRIPE_AGE 16   /* grows with each eighth of the stripe's share that was written */
#define STRIPE_STAMP 24 /* the flush stamp for which count and bytes hold; they are 0 for another */
#define STRIPE_COUNT 32
#define STRIPE_BYTES 40
#define STRIPE_USED 48    /* cells of its items and elements */
#define STRIPE_CLAIMS 56  /* claim words that are not free, or more (dict_claim.c) */
#define STRIPE_WRITTEN 64 /* cells since the age grew */
#define STRIPE_HAND 72    /* the line where victims are looked for next */
#define STRIPE_EVICTED 80
#define STRIPE_EXPIRED 88
#define STRIPE_REFUSED 96
#define STRIPE_REPAIRED 104
#define STRIPE_SWEPT 112  /* the flush stamp for which the next one holds; 0: none */
#define STRIPE_PASSED 120 /* lines that the hand has passed since, and that have no flushed item */
#define STRIPE_EVENTCOUNT 128
#define STRIPE_SPARE 192       /* 32 bits: how many runs are spare */
#define STRIPE_SPARE_CELLS 196 /* 32 bits: how many cells they have */
#define STRIPE_RUNS 200        /* SPARE_RUNS x (cell, count), 32 bits each */
#define SPARE_RUNS 7
#define SPARE_CELLS 64 /* at most */

/* In a line of the index. */
#define LINE_SIZE 64
#define LINE_LOCK 0
#define LINE_MARKS 4  /* 5 bits for each entry: the age of its last use; and DICT_WATCHED */
#define LINE_CHAIN 8  /* a word: the first item that found no slot */
#define LINE_HOT 16   /* the number of the slot whose word has WORD_HOT */
#define LINE_SLOTS 24 /* DICT_SLOTS words */
#define DICT_SLOTS 5
#define DICT_CHAIN DICT_SLOTS /* the entry that stands for the whole chain */
#define DICT_WATCHED 0x80000000u

/* A word of the index: a slot's, or a chain's. Never 0. */
#define WORD_VALID 1u
#define WORD_HOT 2u   /* the item is a number, and its value is at LINE_HOT */
#define WORD_TIMED 4u /* the item may expire */
#define WORD_TAG 3    /* 9 bits of the key's hash; 0 in a chain's word */
#define WORD_TAG_MASK 0x1ffu
#define WORD_VERSION 12 /* 20 bits of the epoch at which it was published */
#define WORD_CELL 32    /* 32 bits: where the item begins; 0: nothing */
#define DICT_VERSIONS ((uint64_t)1 << 20)

/* --- cells -------------------------------------------------------------------------------- */

#define DICT_CELL 64u /* bytes */
#define DICT_PAGE 64u /* cells */
/* In the table of pages: the free cells as bits, the bin's next and previous page. */
#define PAGE_SIZE_IN_TABLE 16u

/* An owner is a byte: DICT_FREE, or a stripe's number and DICT_OWNED. 0 is none. */
#define DICT_FREE 1u
#define DICT_OWNED 2u
#define DICT_MARKED 0x80u /* while a stripe is repaired: it is in use */

/* An item: 5 words, the key, the value. ITEM_HEAD: key size (16 bits), type (8), cells of its first run (8),
 * flags, or how many elements a list has (32). */
#define ITEM_HEAD 0
#define ITEM_NUMBER 8 /* a number; the bytes of a value; of a list: first | last << 32 */
#define ITEM_EXPIRY 16
#define ITEM_STAMP 24 /* the flush stamp when it was stored */
#define ITEM_NEXT 32  /* 32 bits: the next item of the chain */
#define ITEM_KEY 40

/* An element of a list. */
#define ELEMENT_NEXT 0   /* 32 bits; of no meaning in the last one */
#define ELEMENT_BEFORE 4 /* 32 bits; of no meaning in the first one */
#define ELEMENT_HEAD 8   /* type (8 bits), cells of its first run (8) */
#define ELEMENT_NUMBER 16
#define ELEMENT_BYTES 24

/* No honest chain is longer. */
#define DICT_CHAIN_MAX 4096

/* Nanoseconds that a writer waits for others. */
#define DICT_PATIENCE ((int64_t)5 * 1000000000)

#endif
