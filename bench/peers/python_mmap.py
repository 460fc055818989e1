# SPDX-License-Identifier: MIT
"""Python's mmap module over the same object, with struct and memoryview."""

import mmap
import struct

from peer import BYTES, COUNT, NAME, OFFSET, measure

with open("/dev/shm/" + NAME, "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
words = memoryview(memory).cast("i")
unpack_from, pack_into = struct.unpack_from, struct.pack_into
whole = bytes(memory)
END = OFFSET + COUNT


def read(n):
    for _ in range(n):
        memory[OFFSET:END]


def write(n):
    for _ in range(n):
        memory[OFFSET:END] = BYTES


def get(n):
    for _ in range(n):
        words[1]


def put(n):
    for _ in range(n):
        words[1] = 7


def unpack(n):
    for _ in range(n):
        unpack_from("<i", memory, OFFSET)


def pack(n):
    for _ in range(n):
        pack_into("<i", memory, OFFSET, 7)


def read_all(n):
    for _ in range(n):
        memory[:]


def write_all(n):
    for _ in range(n):
        memory[:] = whole


measure("read 32 bytes", "Python mmap", read)
measure("write 32 bytes", "Python mmap", write)
measure("get i32", "Python memoryview", get)
measure("set i32", "Python memoryview", put)
measure("unpack '<i4'", "Python struct", unpack)
measure("pack '<i4'", "Python struct", pack)
measure("read 64 MiB", "Python mmap", read_all, once=True)
measure("write 64 MiB", "Python mmap", write_all, once=True)
