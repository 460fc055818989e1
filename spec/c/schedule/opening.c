/* SPDX-License-Identifier: MIT */
/* Processes that open, and race to build, one object: what each of them may be told. */
#include "schedule/opening.h"

#include <errno.h>
#include <string.h>

#include "shared/header.h"

static int built; /* how many were told that they have created it */

void opening_make(int how, uint32_t kind) {
  const uint32_t head[] = { SHMSEG_HEADER_INIT | ID_DEAD, kind, 1 };
  if (how == OPENING_DEAD_BUILDER)
    memcpy(block, head, sizeof head[0]);
  if (how == OPENING_HALF_BUILT) {
    memcpy(block, head, sizeof head);
    memset(block + SHMSEG_HEADER_SIZE, 0x33, SHMSEG_HEADER_SIZE);
  }
}

void opening_begin(void) {
  built = 0;
}

bool opening_is(char op) {
  return op == 'o' || op == 'O' || op == 'j';
}

shmseg_mode opening_mode(char op) {
  return op == 'o' ? SHMSEG_CREATE : op == 'O' ? SHMSEG_CREATE_ONLY : SHMSEG_WRITE;
}

bool opening_told(int p, char op, int err, bool created) {
  w.processes[p].last = err;
  built += created && err == 0;
  /* a builder that is stopped is waited for; one that died after it published has built it */
  bool fine = err == 0 || (err == SHMSEG_TIMEOUT && w.excused) ||
              (err == EEXIST && op == 'O' && (built > 0 || w.excused)) ||
              (err == ENOENT && op == 'j');
  expect(fine, "opening with %c: %d", op, err);
  expect(built <= 1, "two have created it");
  expect(op != 'O' || err != 0 || created, "created only, and yet not created");
  return err == 0;
}
