/* SPDX-License-Identifier: MIT */
/* What cell, queue and broadcast have in common: the values that processes write, each of which
 * tells in every byte which one it is, and what has become of them. */
#include "schedule/ledger.h"

#include <string.h>

#include "core/lock.h"

#undef memset

#define WORD 8  /* bytes that tell the same place */
#define PLACE 5 /* the bits above it are the place, those below the entry */
#define UNTOUCHED 0xee

ledger_entry ledger[LEDGER_ENTRIES];
int ledger_count;
static ledger_entry kept[LEDGER_ENTRIES];
static int kept_count;
static unsigned now;

void ledger_clear(void) {
  ledger_count = kept_count = 1;
  now = 0;
}

void ledger_keep(void) {
  memcpy(kept, ledger, sizeof kept);
  kept_count = ledger_count;
}

void ledger_begin(void) {
  memcpy(ledger, kept, sizeof ledger);
  ledger_count = kept_count;
}

/* The byte at that place of the value. */
static unsigned char byte_of(int entry, size_t place) {
  if (ledger[entry].disguised && place / WORD == 1)
    return (unsigned char)(ledger[entry].like >> 8 * (place % WORD));
  return (unsigned char)((unsigned)entry | (unsigned)(place / WORD + 1) << PLACE);
}

int ledger_write(int writer, unsigned key, size_t size, unsigned char *bytes) {
  must(ledger_count < LEDGER_ENTRIES && size <= LEDGER_ROOM, "the ledger is too small");
  int entry = ledger_count++;
  ledger[entry] = (ledger_entry){ .fate = LEDGER_BEGUN,
                                  .writer = writer,
                                  .key = key,
                                  .size = size,
                                  .begun = ++now,
                                  .taker = NOBODY };
  for (size_t i = 0; i < size; i++)
    bytes[i] = byte_of(entry, i);
  return entry;
}

void ledger_disguise(int entry, uint64_t like, unsigned char *bytes) {
  ledger[entry].disguised = true;
  ledger[entry].like = like;
  for (size_t i = 0; i < ledger[entry].size; i++)
    bytes[i] = byte_of(entry, i);
}

/* The entry has that number and no other, and no other entry has it. */
static void number_it(int entry, uint64_t number) {
  if (number == 0)
    return;
  for (int i = 1; i < ledger_count; i++)
    expect(i == entry || ledger[i].key != ledger[entry].key || ledger[i].number != number,
           "%d and %d are both number %llu", i, entry, (unsigned long long)number);
  expect(ledger[entry].number == 0 || ledger[entry].number == number, "%d is number %llu and %llu",
         entry, (unsigned long long)ledger[entry].number, (unsigned long long)number);
  ledger[entry].number = number;
}

void ledger_done(int entry, uint64_t number) {
  ledger[entry].fate = LEDGER_DONE;
  ledger[entry].done = ++now;
  number_it(entry, number);
}

void ledger_refused(int entry) {
  expect(ledger[entry].number == 0 && ledger[entry].taker == NOBODY, "%d is out, yet was refused",
         entry);
  ledger[entry].fate = LEDGER_REFUSED;
}

void ledger_died(int writer) {
  for (int i = 1; i < ledger_count; i++)
    if (ledger[i].writer == writer && ledger[i].fate == LEDGER_BEGUN)
      ledger[i].fate = LEDGER_UNSURE;
}

void ledger_wipe(ledger_buffer *buffer) {
  memset(buffer->bytes, UNTOUCHED, sizeof buffer->bytes);
}

void ledger_guard(const ledger_buffer *buffer) {
  for (int i = LEDGER_BUFFER; i < LEDGER_BUFFER + LEDGER_GUARD; i++)
    must(buffer->bytes[i] == UNTOUCHED, "a copy writes beyond the reader's buffer");
}

int ledger_seen(unsigned key, const unsigned char *bytes, size_t size, uint64_t number) {
  int entry = size > 0 ? bytes[0] & ((1 << PLACE) - 1) : 0;
  bool known = entry > 0 && entry < ledger_count;
  expect(known, "%d is read, which nobody has written", entry);
  if (!known || w.hostile)
    return 0;
  expect(key == ledger[entry].key, "%d is read under key %u", entry, key);
  expect(size == ledger[entry].size, "%d is read with %zu bytes", entry, size);
  for (size_t i = 0; i < size; i++)
    expect(bytes[i] == byte_of(entry, i), "%d is torn: 0x%x at byte %zu", entry, bytes[i], i);
  expect(ledger[entry].fate != LEDGER_REFUSED, "%d was refused, yet is read", entry);
  if (ledger[entry].fate == LEDGER_UNSURE)
    ledger_done(entry, number);
  number_it(entry, number);
  return entry;
}

int ledger_with(unsigned key, ledger_fate fate) {
  int sum = 0;
  for (int i = 1; i < ledger_count; i++)
    sum += ledger[i].key == key && ledger[i].fate == fate;
  return sum;
}

uint64_t block_word(uint64_t offset) {
  uint64_t word;
  memcpy(&word, block + offset, sizeof word);
  return word;
}

void block_put(uint64_t offset, uint64_t value) {
  memcpy(block + offset, &value, sizeof value);
}

void block_put32(uint64_t offset, uint32_t value) {
  memcpy(block + offset, &value, sizeof value);
}

int block_owner(uint64_t offset) {
  uint32_t owner = (uint32_t)block_word(offset) & SHMSEG_LOCK_STATE;
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].id == owner && engine_lives(p))
      return p;
  return NOBODY;
}

bool block_is_asleep_on(int p, uint64_t offset) {
  return w.processes[p].word == (const uint32_t *)(const void *)(block + offset);
}
