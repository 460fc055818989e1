# SPDX-License-Identifier: MIT
"""Messages between two Python processes: multiprocessing's Queue and Pipe."""

import multiprocessing
import sys
import time

SLICE = float(sys.argv[2])
SIZES = ((16, "16 bytes"), (256, "256 bytes"), (4096, "4 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB"))


def queue():
    q = multiprocessing.Queue()
    return q.put, q.get


def pipe():
    there, here = multiprocessing.Pipe(False)
    return here.send_bytes, there.recv_bytes


def consume(receive, n, done):
    done.send(1)
    for _ in range(n):
        receive()
    done.send(1)


def transfer(make, size, n):
    send, receive = make()
    seen, done = multiprocessing.Pipe(False)
    other = multiprocessing.Process(target=consume, args=(receive, n, done), daemon=True)
    other.start()
    seen.recv()
    message = b"m" * size
    start = time.perf_counter_ns()
    for _ in range(n):
        send(message)
    seen.recv()
    taken = time.perf_counter_ns() - start
    other.join()
    return taken


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    for size, text in SIZES:
        for who, make in (("Python Queue", queue), ("Python Pipe", pipe)):
            n = 100
            taken = transfer(make, size, n)
            if taken < 10 * SLICE:
                n = int(n * min(50, 10 * SLICE / taken)) + 1
                taken = transfer(make, size, n)
            print("time", "a message of " + text, f"{who}, {text}", taken / n, 0, sep="\t", flush=True)
