# SPDX-License-Identifier: MIT
"""Messages between two Python processes: multiprocessing's Queue and Pipe; a list in Redis."""

import contextlib
import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SLICE = float(sys.argv[2])
SIZES = ((16, "16 bytes"), (256, "256 bytes"), (4096, "4 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB"))


def queue():
    q = multiprocessing.Queue()
    return q.put, q.get


def pipe():
    there, here = multiprocessing.Pipe(False)
    return here.send_bytes, there.recv_bytes


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection, connection.makefile("rb")


def redis(path):
    """RPUSH and BLPOP, one message in each, over a Unix socket."""
    (there, answers), (here, values) = connect(path), connect(path)

    def send(message):
        there.sendall(b"*3\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n$%d\r\n%s\r\n" % (len(message), message))
        answers.readline()

    def receive():
        here.sendall(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n")
        for _ in range(3):  # how many there are, and the list's name
            values.readline()
        return values.read(int(values.readline()[1:]) + 2)

    return send, receive


@contextlib.contextmanager
def redis_server():
    """The path of the socket of a server of our own, or None where there is none."""
    if not shutil.which("redis-server"):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/socket"
        options = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        try:
            for _ in range(500):
                with contextlib.suppress(OSError):
                    connect(path)
                    break
                time.sleep(0.01)
            yield path
        finally:
            server.terminate()
            server.wait()


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


def measure(makers):
    for size, text in SIZES:
        for who, make in makers:
            n = 100
            taken = transfer(make, size, n)
            if taken < 10 * SLICE:
                n = int(n * min(50, 10 * SLICE / taken)) + 1
                taken = transfer(make, size, n)
            print("time", "a message of " + text, f"{who}, {text}", taken / n, 0, sep="\t", flush=True)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    with redis_server() as path:
        makers = [("Python Queue", queue), ("Python Pipe", pipe)]
        if path:
            makers.append(("Redis from Python", lambda: redis(path)))
        measure(makers)
