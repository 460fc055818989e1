/* SPDX-License-Identifier: MIT */
/* Messages of the storm, which tell whose they are and whether they are whole. */
#include <string.h>

#include "storm/storm.h"

/* FNV-1a over all but the sum. */
static uint64_t sum_of(const storm_message *m) {
  uint64_t sum = 14695981039346656037u;
  sum = (sum ^ m->worker) * 1099511628211u;
  sum = (sum ^ m->size) * 1099511628211u;
  sum = (sum ^ m->number) * 1099511628211u;
  for (size_t i = 0; i < m->size - STORM_MESSAGE_MIN; i++)
    sum = (sum ^ m->bytes[i]) * 1099511628211u;
  return sum;
}

void storm_compose(storm_message *m, uint64_t number, size_t most) {
  m->worker = storm_me;
  m->number = number;
  m->size = (uint32_t)(STORM_MESSAGE_MIN + storm_draw(most - STORM_MESSAGE_MIN + 1));
  for (size_t i = 0; i < m->size - STORM_MESSAGE_MIN; i++)
    m->bytes[i] = (unsigned char)(number + i);
  m->sum = sum_of(m);
}

bool storm_is_whole(const storm_message *m, size_t size) {
  return size >= STORM_MESSAGE_MIN && size <= sizeof *m && m->size == size &&
         m->worker < STORM_WORKERS_MAX && m->sum == sum_of(m);
}

static uint64_t entry(uint64_t number, const storm_message *m) {
  return number << 32 | (uint32_t)m->sum;
}

void storm_note_sum(uint64_t *sums, uint64_t number, const storm_message *m) {
  storm_compare_sum(sums, number, m);
  __atomic_store_n(&sums[number % STORM_SUMS], entry(number, m), __ATOMIC_RELAXED);
}

void storm_compare_sum(const uint64_t *sums, uint64_t number, const storm_message *m) {
  uint64_t noted = __atomic_load_n(&sums[number % STORM_SUMS], __ATOMIC_RELAXED);
  storm_expect(noted >> 32 != (uint32_t)number || noted == entry(number, m));
}
