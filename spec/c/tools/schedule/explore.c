/* SPDX-License-Identifier: MIT */
/* All schedules within a budget: each run shows what could be decided behind its last decision, and
 * each of that is a schedule to run.
 *
 * A load of a word that no process ever changes commutes with everything, so nothing is decided
 * there. Which words are changed is learned: when a run changes a new one, all begins again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/schedule.h"

const budget budgets_of_two[] = {
  { .preemptions = 3 },
  { .preemptions = 2, .signals = 1 },
  { .preemptions = 2, .deaths = 1 },
  { .preemptions = 1, .deaths = 2 },
  { .preemptions = 1, .stalls = 1 },
  { .stalls = 1, .deaths = 1 },
  { .preemptions = 1, .flips = 1 },
  { .preemptions = 2, .stale = 1 },
  { .preemptions = 1, .stale = 2 },
  { 0 },
};

const budget budgets_of_three[] = {
  { .preemptions = 2 }, { .preemptions = 1, .deaths = 1 }, { .deaths = 2 },
  { .stalls = 1 },      { .preemptions = 1, .stale = 1 },  { 0 },
};

const budget budgets_honest[] = {
  /* with no stranger */
  { .preemptions = 2, .signals = 1 }, { .preemptions = 2, .deaths = 1 },
  { .preemptions = 1, .deaths = 2 },  { .preemptions = 1, .stalls = 1 },
  { .preemptions = 2, .stale = 1 },   { 0 },
};

const budget budgets_opening[] = {
  /* many steps */
  { .preemptions = 2 },
  { .preemptions = 1, .deaths = 1 },
  { .deaths = 2 },
  { .preemptions = 1, .stalls = 1 },
  { .flips = 1 },
  { .preemptions = 1, .stale = 2 },
  { 0 }
};

const budget budgets_long[] = {
  /* very many steps */
  { .preemptions = 1, .deaths = 1 }, { .deaths = 2 }, { .stalls = 1 }, { .flips = 1 },
  { .preemptions = 1, .stale = 1 },  { 0 },
};

const budget budgets_short[] = {
  /* three of them, with very many steps */
  { .preemptions = 1 }, { .deaths = 1 }, { .stalls = 1 }, { .flips = 1 }, { .stale = 1 }, { 0 },
};

const budget budgets_many[] = {
  /* of two processes with many steps */
  { .preemptions = 2 },
  { .preemptions = 1, .deaths = 1 },
  { .deaths = 2 },
  { .preemptions = 1, .stalls = 1 },
  { .preemptions = 1, .stale = 1 },
  { .preemptions = 1, .signals = 1 },
  { .flips = 1 },
  { 0 }
};

const budget budgets_crowd[] = {
  { .preemptions = 1, .deaths = 1 }, { .stalls = 1 }, { .preemptions = 1, .stale = 1 }, { 0 }
};

typedef struct {
  const budget *budgets;
  bool weak; /* stale reads and no flips, or the other way round */
  found *found;
  uint64_t limit;
} search;

static bool is_last(const budget *b) {
  const budget none = { 0 };
  return memcmp(b, &none, sizeof none) == 0;
}

static void count(budget *used, char action) {
  switch (action) {
  case '>': used->preemptions++; break;
  case 'd':
  case 'k': used->deaths++; break;
  case 's':
  case 'r': used->stalls++; break;
  case 'f': used->flips++; break;
  case 'o': used->stale++; break;
  case 'e': used->signals++; break;
  default: break; /* who begins is free */
  }
}

static bool is_within(const budget *used, const budget *limit) {
  return used->preemptions <= limit->preemptions && used->deaths <= limit->deaths &&
         used->stalls <= limit->stalls && used->flips <= limit->flips &&
         used->stale <= limit->stale && used->signals <= limit->signals;
}

#define ACTIONS "c>dksrfoe"

/* The actions that may be added, as bits: places in ACTIONS. */
static unsigned allowed(const search *s, const code *c) {
  budget used = { 0 };
  unsigned bits = 0;
  for (int i = 0; i < c->count; i++)
    count(&used, c->list[i].action);
  for (int i = 0; ACTIONS[i] && c->count < DECISIONS; i++) {
    budget more = used;
    count(&more, ACTIONS[i]);
    for (const budget *b = s->budgets; !is_last(b); b++)
      bits |= (unsigned)((b->stale > 0) == s->weak && is_within(&more, b)) << i;
  }
  return bits;
}

static bool may(unsigned bits, char action) {
  return bits >> (strchr(ACTIONS, action) - ACTIONS) & 1;
}

static void visit(search *s, const code *c);

/* A schedule that may be longer by one decision. */
typedef struct {
  search *search;
  const code *code;
  unsigned allowed;
  uint32_t step;
} branch;

/* Adds the decision, about each of from to to. */
static void go(const branch *b, char action, int from, int to) {
  if (!may(b->allowed, action))
    return;
  for (int about = from; about < to && !b->search->found->failed && !memory_grown; about++) {
    code next = *b->code;
    next.list[next.count++] = (decision){ b->step, action, (unsigned char)about };
    visit(b->search, &next);
  }
}

static void go_each(const branch *b, char action, unsigned bits) {
  for (int p = 0; p < FRESH; p++)
    if (bits >> p & 1)
      go(b, action, p, p + 1);
}

/* Everything that can be decided there. */
static void decide_at(const branch *b, const candidate *at) {
  if (at->choice) {
    /* the first of them is who runs anyway, except at the beginning; a repetition costs little */
    go_each(b, 'c', at->ready);
    return;
  }
  if (at->word && !at->resumed) /* of words that nobody changes a few flips will do */
    go(b, 'f', at->plain ? FLIPS_PLAIN : 0, at->plain ? FLIPS_PLAIN + 3 : FLIPS + 1);
  if (at->stale > 0)
    go(b, 'o', 1, at->stale < 3 ? at->stale + 1 : 4);
  if (at->plain)
    return;
  if (!at->resumed)
    go_each(b, '>', at->ready);
  go(b, 'd', 0, 1);
  go_each(b, 'k', at->asleep);
  go(b, 's', 0, 1);
  go(b, 'r', 1, 3);
  if (at->wait)
    go(b, 'e', 0, 1);
}

static int choices_of(const code *c) {
  int choices = 0;
  for (int i = 0; i < c->count; i++)
    choices += c->list[i].action == 'c';
  return choices;
}

static void visit(search *s, const code *c) {
  w.code = *c;
  engine_run();
  s->found->schedules++;
  if (w.failure) {
    s->found->failed = true;
    s->found->code = *c;
    memcpy(s->found->text, w.text, sizeof s->found->text);
    return;
  }
  int total = w.candidate_count;
  if (total == 0 || (s->limit && s->found->schedules >= s->limit))
    return;
  candidate *mine = malloc((size_t)total * sizeof *mine);
  if (!mine)
    abort();
  memcpy(mine, w.candidates, (size_t)total * sizeof *mine);
  branch b = { s, c, allowed(s, c), 0 };
  for (int i = 0; i < total && !s->found->failed && !memory_grown; i++) {
    b.step = mine[i].step;
    if (!mine[i].choice || choices_of(c) < 2)
      decide_at(&b, &mine[i]);
  }
  free(mine);
}

found explore(const structure *structure, const scenario *scene) {
  const code none = { 0 };
  const char *limit = getenv("SCHEDULES");
  found f;
  search s = { scene->budgets ? scene->budgets : budgets_of_two, false, &f,
               limit ? strtoull(limit, NULL, 10) : 0 };
  memory_forget();
  engine_open(structure, scene);
  do {
    memset(&f, 0, sizeof f);
    memory_grown = false;
    w.late = 0;
    for (int weak = 0; weak < 2 && !f.failed; weak++) {
      s.weak = w.weak = weak;
      visit(&s, &none);
    }
  } while (memory_grown && !f.failed);
  f.late = w.late;
  return f;
}

/* --- codes -------------------------------------------------------------------------------- */

void code_print(const code *c, char *text, int size) {
  int used = 0;
  *text = '\0';
  for (int i = 0; i < c->count && used < size; i++) {
    const decision *d = &c->list[i];
    used +=
        snprintf(text + used, (size_t)(size - used), "%s%u%c", i ? "," : "", d->step, d->action);
    if (used < size && d->action != 'd' && d->action != 's' && d->action != 'e')
      used += snprintf(text + used, (size_t)(size - used), "%u", d->about);
  }
}

bool code_parse(const char *text, code *c) {
  memset(c, 0, sizeof *c);
  while (*text && c->count < DECISIONS) {
    decision *d = &c->list[c->count];
    char *end;
    d->step = (uint32_t)strtoul(text, &end, 10);
    if (end == text || !strchr(">dksrfoec", *end) || !*end)
      return false;
    d->action = *end++;
    d->about = (unsigned char)strtoul(end, &end, 10);
    c->count++;
    if (*end && *end != ',')
      return false;
    text = *end ? end + 1 : end;
  }
  return *text == '\0';
}
