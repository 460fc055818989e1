# SPDX-License-Identifier: MIT
"""What the Python peers share: time an operation in a plain for loop and print a line for it."""

import sys
import time

NAME, SLICE = sys.argv[1], float(sys.argv[2])  # the shared object; nanoseconds for each operation
OFFSET, COUNT = 4, 32
BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"


def timed(run, times):
    start = time.perf_counter_ns()
    run(times)
    return time.perf_counter_ns() - start


def empty(n):
    for _ in range(n):
        pass


def measure(operation, who, run, once=False):
    """Prints: time, operation, who, nanoseconds with the loop, nanoseconds of the empty loop."""
    times = 1
    taken = timed(run, times)  # the first touch does not count
    while not once and taken < SLICE:
        times = int(times * min(10, max(1.3, 1.1 * SLICE / max(taken, 1)))) + 1
        taken = timed(run, times)
    taken = timed(run, times)
    loop = 0 if once else timed(empty, times)
    print("time", operation, who, taken / times, loop / times, sep="\t", flush=True)
