/* SPDX-License-Identifier: MIT */
/* One traced process: instruction by instruction, and what the next instruction is. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step/step.h"

#define PLACES 16384 /* instructions whose executions are counted */

unsigned step_trace_count(uint64_t where, bool begin) {
  static struct {
    uint64_t where;
    unsigned times;
  } places[PLACES];
  if (begin)
    memset(places, 0, sizeof places);
  unsigned i = where % PLACES;
  while (places[i].where != where && places[i].where != 0)
    i = (i + 1) % PLACES;
  places[i].where = where;
  return ++places[i].times;
}

#if defined(__x86_64__)

#define BREAKPOINT 0xccu
#define SYSCALL 0x050fu /* 0f 05, as a little endian number */

/* A breakpoint of the program's own: no system call, no signal handler, one instruction. */
void step_mark(void) {
  __asm__ volatile("int3" ::: "memory");
}

int step_trace_me(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : errno;
}

/* The signal that it is stopped by, or 0 when it is dead. */
static int wait_stopped(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return 0;
  return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

/* Goes on in one of ptrace's ways, to the next stop. Who stops and continues all processes of a
 * terminal, or of the machine, is not what is waited for. */
static int go_on(pid_t pid, int way) {
  int number;
  do
    number = ptrace(way, pid, NULL, NULL) == 0 ? wait_stopped(pid) : 0;
  while (number == SIGSTOP || number == SIGTSTP || number == SIGCONT);
  return number;
}

static bool leap(pid_t pid) {
  return go_on(pid, PTRACE_SINGLESTEP) == SIGTRAP;
}

/* Runs to the instruction: a breakpoint over its first byte, taken away when it is reached. False
 * when it comes to its end before. */
static bool run_to(pid_t pid, uint64_t where) {
  struct user_regs_struct registers;
  errno = 0;
  long code = ptrace(PTRACE_PEEKTEXT, pid, where, NULL);
  if (errno || ptrace(PTRACE_POKETEXT, pid, where, (code & ~0xffL) | (long)BREAKPOINT) != 0)
    return false;
  if (go_on(pid, PTRACE_CONT) != SIGTRAP || ptrace(PTRACE_POKETEXT, pid, where, code) != 0 ||
      ptrace(PTRACE_GETREGS, pid, NULL, &registers) != 0 || registers.rip != where + 1)
    return false;
  registers.rip--;
  return ptrace(PTRACE_SETREGS, pid, NULL, &registers) == 0;
}

bool step_trace_to(pid_t pid, uint64_t where, unsigned time) {
  for (unsigned i = 1; i < time; i++)
    if (!run_to(pid, where) || !leap(pid))
      return false;
  return run_to(pid, where);
}

bool step_trace_to_call(pid_t pid, unsigned n, bool after) {
  for (unsigned stops = after ? 2 * n : 2 * n - 1; stops > 0; stops--)
    if (go_on(pid, PTRACE_SYSCALL) != (SIGTRAP | 0x80))
      return false;
  return true;
}

bool step_trace_run(pid_t pid) {
  return ptrace(PTRACE_CONT, pid, NULL, NULL) == 0;
}

bool step_trace_begin(pid_t pid, void *entry) {
  if (wait_stopped(pid) != SIGTRAP ||
      ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) !=
          0)
    return false;
  return !entry || run_to(pid, (uintptr_t)entry);
}

bool step_trace_allowed(void) {
  pid_t pid = fork();
  if (pid == 0) {
    if (step_trace_me() == 0)
      step_mark();
    _exit(1);
  }
  bool allowed = pid > 0 && wait_stopped(pid) == SIGTRAP;
  uint64_t where;
  unsigned woken = 0;
  allowed = allowed && step_trace_look(pid, &where) != STEP_LOST &&
            step_trace_step(pid, STEP_PLAIN, &woken);
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  return allowed;
}

/* What lies at an address never changes, and all subjects are forked from one program. */
static step_instruction decode(pid_t pid, uint64_t where) {
  static struct {
    uint64_t where;
    step_instruction is;
  } known[4096];
  unsigned slot = where % 4096;
  if (known[slot].where == where)
    return known[slot].is;
  errno = 0;
  unsigned long code = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, where, NULL);
  if (errno)
    return STEP_LOST;
  known[slot].where = where;
  known[slot].is = (code & 0xff) == BREAKPOINT  ? STEP_DONE
                   : (code & 0xffff) == SYSCALL ? STEP_CALL
                                                : STEP_PLAIN;
  return known[slot].is;
}

step_instruction step_trace_look(pid_t pid, uint64_t *where) {
  errno = 0;
  *where = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
  return errno ? STEP_LOST : decode(pid, *where);
}

bool step_trace_step(pid_t pid, step_instruction next, unsigned *woken) {
  struct user_regs_struct registers;
  if (next == STEP_CALL && ptrace(PTRACE_GETREGS, pid, NULL, &registers) != 0)
    return false;
  if (!leap(pid))
    return false;
  if (next != STEP_CALL || registers.rax != SYS_futex ||
      (registers.rsi & FUTEX_CMD_MASK) != FUTEX_WAKE)
    return true;
  if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) != 0)
    return false;
  *woken += (long long)registers.rax > 0 ? (unsigned)registers.rax : 0;
  return true;
}

#else

void step_mark(void) {}

int step_trace_me(void) {
  return ENOSYS;
}

bool step_trace_allowed(void) {
  return false;
}

bool step_trace_begin(pid_t pid, void *entry) {
  (void)pid, (void)entry;
  return false;
}

step_instruction step_trace_look(pid_t pid, uint64_t *where) {
  (void)pid, (void)where;
  return STEP_LOST;
}

bool step_trace_step(pid_t pid, step_instruction next, unsigned *woken) {
  (void)pid, (void)next, (void)woken;
  return false;
}

bool step_trace_to(pid_t pid, uint64_t where, unsigned time) {
  (void)pid, (void)where, (void)time;
  return false;
}

bool step_trace_to_call(pid_t pid, unsigned n, bool after) {
  (void)pid, (void)n, (void)after;
  return false;
}

bool step_trace_run(pid_t pid) {
  (void)pid;
  return false;
}

#endif
