/* SPDX-License-Identifier: MIT */
/* The broadcast under the scheduler: what begins how. schedule.c says what the letters do. */
#ifndef SHMSEG_SCHEDULE_BROADCAST_H
#define SHMSEG_SCHEDULE_BROADCAST_H

#include "schedule/opening.h"
#include "schedule/schedule.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,
  FULL,   /* of two */
  LAPPED, /* three were published, of which the first is gone */
  SLEEPERS_DEAD,
  OWNER_DEAD, /* full; the publisher died when it had raised floor and begun to write */
  SHUT,       /* with two */
  LONG_AGO    /* with two, after very many */
};

/* A reader that stops while publishers go round; strangers. */
static const budget overtaken[] = {
  { .preemptions = 2, .stale = 1 },
  { .preemptions = 2, .deaths = 1 },
  { .preemptions = 1, .stalls = 1 },
  { .preemptions = 1, .stale = 2 },
  { 0 },
};

static const budget strangers[] = { { .preemptions = 1, .flips = 1 }, { 0 } };

static const scenario scenarios[] = {
  { "one publishes, one reads", { "pb", "eyn" }, "eypyyy", EMPTY, 0, 0, budgets_honest },
  { "one publishes while a stranger writes", { "b", "en" }, "eypyyy", ONE, 0, 0, strangers },
  { "a reader is overtaken", { "pbp", "en" }, "eypyyy", ONE, 0, 0, overtaken },
  { "a reader is overtaken at a wrap", { "bb", "en" }, "eypyyy", LAPPED, 0, 0, overtaken },
  { "one at a wrap while a stranger writes", { "p", "e" }, "eypyyy", LAPPED, 0, 0, strangers },
  { "a reader is overtaken by two", { "p", "p", "en" }, "eypyyy", FULL, 0, 0, budgets_crowd },
  { "two publish and read", { "wpy", "wby" }, "eypyyy", FULL, 0, 0, budgets_many },
  { "one publishes, two read", { "p", "wn", "en" }, "eypyyy", EMPTY, 0, 0, budgets_crowd },
  { "one waits, one publishes", { "wn", "p" }, "eypyyy", EMPTY, 0, 0, NULL },
  { "one waits twice, one publishes twice", { "wnn", "pp" }, "eypyyy", FULL, 0, 0, budgets_many },
  { "one waits, two publish", { "wnn", "p", "b" }, "eypyyy", EMPTY, 0, 0, budgets_crowd },
  { "two wait, one publishes", { "wn", "wn", "p" }, "eypyyy", EMPTY, 0, 0, budgets_short },
  { "one waits for a time", { "wNN", "p" }, "eypyyy", EMPTY, 0, 0, budgets_honest },
  { "two that spin", { "wn", "p" }, "eypyyy", ONE, 0, 2, budgets_many },
  { "numbers", { "pb", "u1yu3yu9y" }, "eypyyy", LAPPED, 0, 0, budgets_many },
  { "numbers, after very many", { "p", "u2yu4y" }, "eypyyy", LONG_AGO, 0, 0, budgets_many },
  { "a buffer that is too small", { "bpb", "ez" }, "eypyyy", ONE, 0, 0, budgets_many },
  { "one that cannot write reads", { "pbp", "eyy" }, "eypyyy", ONE, 2, 0, budgets_many },
  { "one that cannot write waits", { "pb", "wnN" }, "eypyyy", EMPTY, 2, 0, budgets_many },
  { "one shuts it, one publishes", { "py", "sey" }, "eypyyy", ONE, 0, 0, budgets_honest },
  { "one shuts it, one waits", { "wnn", "ps" }, "eypyyy", EMPTY, 0, 0, budgets_honest },
  { "one shuts it, one publishes, one waits",
    { "p", "s", "wnn" },
    "eypyyy",
    FULL,
    0,
    0,
    budgets_crowd },
  { "two are published, one reads", { "m2", "eyn" }, "eym2d2d2", EMPTY, 0, 0, budgets_honest },
  { "two and one, one drains", { "m2p", "ed2D2" }, "ed2m2d2", ONE, 0, 0, budgets_many },
  { "a drainer is overtaken", { "pm2", "ed2" }, "ed2pd3", FULL, 0, 0, overtaken },
  { "a drainer is overtaken at a wrap", { "pb", "ed2" }, "ed2pd3", LAPPED, 0, 0, overtaken },
  { "a drainer of two loses the first", { "p", "ed2" }, "ed2pd3", FULL, 0, 0, overtaken },
  { "three in two pieces, one drains", { "m3", "ed2D2" }, "ed2m2d2", EMPTY, 0, 0, budgets_many },
  { "two publish two", { "m2", "m2", "ed2" }, "ed2m2d2", ONE, 0, 0, budgets_crowd },
  { "two are published, one subscribes", { "m2", "wyey" }, "eym2yy", ONE, 0, 0, overtaken },
  { "two, while a stranger writes", { "m2", "ed2" }, "ed2m2d2", ONE, 0, 0, strangers },
  { "one waits, two are published", { "wD2", "m2" }, "ed2m2d2", FULL, 0, 0, budgets_many },
  { "one shuts it, two are published", { "m2", "sed2" }, "ed2m2d2", ONE, 0, 0, budgets_many },
  { "two, the publisher died half way",
    { "m2", "ed2" },
    "ed2m2d2",
    OWNER_DEAD,
    0,
    0,
    budgets_many },
  { "it is shut", { "eyyy", "ps" }, "eypyyy", SHUT, 0, 0, budgets_many },
  { "sleepers have died", { "wn", "pe" }, "eypyyy", SLEEPERS_DEAD, 0, 0, budgets_honest },
  { "the publisher died half way", { "u1yp", "pey" }, "eypyyy", OWNER_DEAD, 0, 0, budgets_long },
  { "two build it", { "op", "oey" }, "oeypyyy", OPENING_ZERO, 0, 0, budgets_long },
  { "the builder died half way",
    { "op", "jey" },
    "oeypyyy",
    OPENING_HALF_BUILT,
    0,
    0,
    budgets_long },
};

#endif
