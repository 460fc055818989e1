# SPDX-License-Identifier: MIT
"""Reads a shmseg cell through a read-only mapping, from what doc/format.md says alone.

    cell_reader.py NAME          prints "VERSION VALUE" or "empty"
    cell_reader.py NAME COUNT    reads so many values, each of which has to be one byte repeated
"""
import mmap
import struct
import sys

MAGIC, CELL, VERSION = 0x53484D53, 5, 1
HEADER = struct.Struct("=IIIIQQ")  # magic, kind, format version, 0, size, capacity
WORD, BUFFERS, COUNT = 128, 192, 4


def open_cell(name):
    with open("/dev/shm/" + name, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    magic, kind, version, _, size, capacity = HEADER.unpack_from(memory, 0)
    if (magic, kind, version) != (MAGIC, CELL, VERSION) or size > len(memory):
        sys.exit(name + ": no cell")
    return memory, capacity


def published(memory):
    return struct.unpack_from("=Q", memory, WORD)[0] - 1


def get(memory, capacity):
    """The latest value and its version; None for no value yet."""
    each = (8 + capacity + 63) // 64 * 64
    while True:
        version = published(memory)
        if version == 0:
            return None, 0
        buffer = BUFFERS + version % COUNT * each
        size = struct.unpack_from("=Q", memory, buffer)[0]
        value = memory[buffer + 8 : buffer + 8 + size] if size <= capacity else b""
        if published(memory) - version <= COUNT - 2:  # nobody has begun to overwrite it
            return value, version


def main(name, count=None):
    memory, capacity = open_cell(name)
    if count is None:
        value, version = get(memory, capacity)
        print("empty" if value is None else "%d %s" % (version, value.decode()))
        return
    last = 0
    for _ in range(int(count)):
        value, version = get(memory, capacity)
        if value != value[:1] * len(value) or version < last:
            sys.exit("torn at version %d" % version)
        last = version
    print(count, "whole")


main(*sys.argv[1:])
