// SPDX-License-Identifier: MIT
// Boost.Interprocess message_queue between two C++ processes: boost_message NAME SLICE LAPS
// Prints lines as harness.lua does.

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using boost::interprocess::create_only;
using boost::interprocess::message_queue;

static double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

// Nanoseconds of one message, n times, and the time of all.
static double transfer(const std::string &name, size_t size, long n) {
  message_queue::remove(name.c_str());
  message_queue queue(create_only, name.c_str(), 1024, size);
  int ready[2];
  if (pipe(ready) != 0)
    std::exit(1);
  pid_t pid = fork();
  std::vector<char> message(size, 'm');
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, 9);
    size_t got;
    unsigned priority;
    (void)!write(ready[1], "!", 1);
    for (long i = 0; i < n; i++)
      queue.receive(message.data(), size, got, priority);
    (void)!write(ready[1], "!", 1);
    _exit(0);
  }
  char byte;
  (void)!read(ready[0], &byte, 1);
  double began = now();
  for (long i = 0; i < n; i++)
    queue.send(message.data(), size, 0);
  (void)!read(ready[0], &byte, 1);
  double taken = now() - began;
  waitpid(pid, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  message_queue::remove(name.c_str());
  return taken;
}

int main(int count, char **arguments) {
  if (count < 4)
    return 2;
  const char *texts[] = { "16 bytes", "256 bytes", "4 KiB" };
  const size_t sizes[] = { 16, 256, 4096 };
  double wanted = 10 * std::atof(arguments[2]);
  for (int lap = 0; lap < std::atoi(arguments[3]); lap++) {
    for (int i = 0; i < 3; i++) {
      long n = 1000;
      double taken = transfer(arguments[1], sizes[i], n);
      while (taken < wanted / 2) {
        n = static_cast<long>(n * (wanted / taken > 20 ? 20 : wanted / taken > 1.5 ? wanted / taken : 1.5));
        taken = transfer(arguments[1], sizes[i], n);
      }
      std::printf("time\ta message of %s\tBoost message_queue in C++, %s\t%f\t0\n", texts[i], texts[i],
                  taken / static_cast<double>(n));
    }
  }
}
