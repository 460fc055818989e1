# SPDX-License-Identifier: MIT
"""Python's multiprocessing.shared_memory, attached to the same object."""

from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

from peer import BYTES, COUNT, NAME, OFFSET, measure

memory = SharedMemory(NAME)
resource_tracker.unregister("/" + NAME, "shared_memory")  # or it unlinks the object at exit
END = OFFSET + COUNT
whole = bytes(memory.buf)


def read(n):
    for _ in range(n):
        bytes(memory.buf[OFFSET:END])


def write(n):
    for _ in range(n):
        memory.buf[OFFSET:END] = BYTES


def read_all(n):
    for _ in range(n):
        bytes(memory.buf)


def write_all(n):
    for _ in range(n):
        memory.buf[:] = whole


measure("read 32 bytes", "Python shared_memory", read)
measure("write 32 bytes", "Python shared_memory", write)
measure("read 64 MiB", "Python shared_memory", read_all, once=True)
measure("write 64 MiB", "Python shared_memory", write_all, once=True)
memory.close()
