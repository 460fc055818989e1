/* SPDX-License-Identifier: MIT */
/* The semaphore that is a counting signal: its count. semaphore.c has the rest of it. */
#ifndef SHMSEG_OBJECTS_SIGNAL_H
#define SHMSEG_OBJECTS_SIGNAL_H

#include "objects/kinds.h"

#pragma GCC visibility push(hidden)

/* Bytes of the object. */
#define SHMSEG_SIGNAL_SIZE 128

/* Lists its words that are not zero. */
int shmseg_signal_build(shmseg_words *words);

/* What the functions of shmseg_semaphore_acquire, _post, _value and _watch do. */
int shmseg_signal_acquire(const shmseg_object *object, int64_t deadline);
int shmseg_signal_post(const shmseg_object *object, uint32_t count);
int shmseg_signal_value(const shmseg_object *object, uint32_t *value);
int shmseg_signal_watch(const shmseg_object *object, shmseg_watch *watch);

/* Names what is wrong, or NULL. */
const char *shmseg_signal_check(const shmseg_object *object);

/* Lists its words, for those who look at it. */
int shmseg_signal_inspect(shmseg_part *parts);

#pragma GCC visibility pop

#endif
