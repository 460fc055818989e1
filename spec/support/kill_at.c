/* SPDX-License-Identifier: MIT */
/* Runs a command and kills it (SIGKILL) at its n-th stop on the way into or out of a system call,
 * counted from its first write to stdout on. Nothing but system calls changes what others can see
 * under a name, so going through every n goes through every moment.
 *
 *   kill_at N COMMAND [ARGUMENT ...]
 *
 * Status 0: it was killed there. 1: it ended before. 2: it cannot be traced. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED, ENDED, REFUSED };

static int refuse(const char *what) {
  perror(what);
  return REFUSED;
}

static _Noreturn void start(char **command) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
    _exit(REFUSED);
  raise(SIGSTOP);
  execvp(command[0], command);
  _exit(REFUSED);
}

static int writes_to_stdout(pid_t child) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0)
    return 0;
  return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
         (info.entry.nr == SYS_write || info.entry.nr == SYS_writev) &&
         info.entry.args[0] == STDOUT_FILENO; /* musl writes with writev */
}

int main(int count, char **arguments) {
  if (count < 3)
    return REFUSED;
  long stops = strtol(arguments[1], NULL, 10);
  pid_t child = fork();
  if (child == 0)
    start(arguments + 2);

  int status;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
    return refuse("start");
  if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
    return refuse("ptrace");

  int counting = 0, sent = 0;
  for (;;) {
    if (ptrace(PTRACE_SYSCALL, child, NULL, sent) != 0 || waitpid(child, &status, 0) != child)
      return refuse("step");
    if (!WIFSTOPPED(status))
      return ENDED;
    int is_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    sent = is_call || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    if (!is_call)
      continue;
    counting = counting || writes_to_stdout(child);
    if (counting && stops-- == 0)
      break;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return KILLED;
}
