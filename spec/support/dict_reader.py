#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a dict of shmseg from Python: get, ttl and pairs, from what doc/format.md says alone.

As a program it prints what dict_format_spec.lua asks for:

    python3 dict_reader.py NAME                 how items lie; then a line for each key of standard input, which are
                                                lines of hex digits; then a line for each key that is there, sorted
    python3 dict_reader.py NAME check SECONDS   reads all of it again and again

What shmseg_cell.py does not promise of the order of accesses, this does not promise either."""

import mmap
import struct
import sys
import time

MASK = (1 << 64) - 1
BOOLEAN, INTEGER, FLOAT, STRING, CODED, LIST = range(1, 7)
HOT = 2
CHAIN_MAX = 4096


class Again(Exception):
    """Somebody has changed it meanwhile."""


class Corrupt(Exception):
    """The bytes are no state of a dict."""


def rotate(x, bits):
    return (x << bits | x >> (64 - bits)) & MASK


def siphash13(k0, k1, data):
    a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def turn():
        nonlocal a, b, c, d
        a, c = (a + b) & MASK, (c + d) & MASK
        b, d = rotate(b, 13) ^ a, rotate(d, 16) ^ c
        a = rotate(a, 32)
        c, a = (c + b) & MASK, (a + d) & MASK
        b, d = rotate(b, 17) ^ c, rotate(d, 21) ^ a
        c = rotate(c, 32)

    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") + (len(data) % 256 << 56))
    for m in words:
        d ^= m
        turn()
        a ^= m
    c ^= 0xFF
    turn(), turn(), turn()
    return a ^ b ^ c ^ d


class Dict:
    def __init__(self, name):
        with open("/dev/shm/" + name, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.words = memoryview(self.memory).cast("Q")
        self.halves = memoryview(self.memory).cast("I")
        state, kind, version, zero = self.halves[0:4]
        if (state, kind, version, zero) != (0x53484D53, 8, 1, 0):
            raise Corrupt("no dict, or not of version 1")
        self.work_out(*self.words[3:6])
        if self.words[2] != self.size or len(self.memory) < self.size:
            raise Corrupt("the size does not fit the geometry: %d, %d" % (self.words[2], self.size))

    def work_out(self, capacity, evict, items):
        quota = max(1, capacity // 64)
        self.stripes = 1 if capacity < 1 << 22 else 64
        claims = 16 if self.stripes == 1 else 64
        self.lines = min(quota, max(items // 3, quota // 64)) // self.stripes + 1
        largest = min((65575 + capacity // 2 + 63) // 64, quota)
        self.cells = ((quota + largest + 64 * self.stripes) // 64 + 2) * 64
        self.at_lines = 512 + 256 * self.stripes + 64 * claims
        pages = self.at_lines + 64 * self.stripes * self.lines
        self.at_owners = (pages + 16 * (self.cells // 64) + 63) // 64 * 64
        self.at_links = self.at_owners + self.cells
        self.at_cells = self.at_links + 4 * self.cells
        self.size = self.at_cells + 64 * self.cells

    def word(self, offset):
        return self.words[offset // 8]

    def half(self, offset):
        return self.halves[offset // 4]

    # --- blocks

    def cell(self, number):
        if not 64 <= number < self.cells:
            raise Again
        return number

    def runs(self, first, run, size):
        """How many pieces of cells that follow each other the block has."""
        cell, pieces = first, 1
        for index in range(1, (size + 63) // 64):
            before = cell
            cell = cell + 1 if index < run else self.cell(self.half(self.at_links + 4 * cell))
            pieces += cell != before + 1
        return pieces

    def bytes(self, first, run, start, count):
        """Bytes of the block that begins with that cell."""
        if not 1 <= run <= 64 or start + count > 64 * self.cells:
            raise Again
        parts, position, cell, index = [], start, self.cell(first), 0
        while count > 0:
            while index < position // 64:
                if index + 1 < run:
                    cell = self.cell(first + index + 1)
                else:
                    cell = self.cell(self.half(self.at_links + 4 * cell))
                index += 1
            offset = position % 64
            part = min(64 - offset, count)
            at = self.at_cells + 64 * cell + offset
            parts.append(self.memory[at : at + part])
            position, count = position + part, count - part
        return b"".join(parts)

    # --- items

    def head(self, cell):
        at = self.at_cells + 64 * self.cell(cell)
        first = self.word(at)
        item = {
            "cell": cell,
            "key_size": first & 0xFFFF,
            "type": first >> 16 & 0xFF,
            "run": first >> 24 & 0xFF,
            "flags": first >> 32,
            "number": self.word(at + 8),
            "stamp": self.word(at + 24),
            "expiry": self.word(at + 16),
            "next": self.half(at + 32),
        }
        if item["key_size"] == 0 or not BOOLEAN <= item["type"] <= LIST:
            raise Again
        return item

    def key(self, item):
        return self.bytes(item["cell"], item["run"], 40, item["key_size"])

    def number_of(self, type_, bits):
        if type_ == BOOLEAN:
            return bits != 0
        if type_ == INTEGER:
            return struct.unpack("=q", struct.pack("=Q", bits))[0]
        return struct.unpack("=d", struct.pack("=Q", bits))[0]

    def elements(self, item):
        first, last = item["number"] & 0xFFFFFFFF, item["number"] >> 32
        found, cell = [], first
        while True:
            at = self.at_cells + 64 * self.cell(cell)
            type_, run = self.word(at + 8) & 0xFF, self.word(at + 8) >> 8 & 0xFF
            number = self.word(at + 16)
            if type_ == STRING:
                found.append(self.bytes(cell, run, 24, number))
            elif type_ in (INTEGER, FLOAT):
                found.append(self.number_of(type_, number))
            else:
                raise Again
            if cell == last:
                return found
            if len(found) > self.cells:
                raise Again
            cell = self.half(at)

    def value(self, item, word, line):
        if item["type"] in (STRING, CODED):
            return self.bytes(item["cell"], item["run"], 40 + item["key_size"], item["number"])
        if item["type"] == LIST:
            return self.elements(item)
        bits = self.word(line + 16) if word & HOT else item["number"]
        return self.number_of(item["type"], bits)

    def is_stale(self, item):
        if item["stamp"] != self.word(80):
            return True
        return item["expiry"] != 0 and item["expiry"] <= int(time.time() * 1000)

    # --- lines

    def check(self, epoch, stripe, at, word):
        """What was copied belongs to the word that was seen at that offset."""
        again = self.word(at)
        now = self.word(512 + 256 * stripe + 8)
        version = word >> 12 & 0xFFFFF
        if again != word or now != epoch and now - epoch >= (version - epoch - 1) % (1 << 20):
            raise Again

    def items(self, line, tag, look):
        """Calls look(item, word) for items of the line, those of the slots with that tag, or all, and of the
        chain. Gives what was looked at, all of it confirmed."""
        stripe = (line - self.at_lines) // 64 // self.lines
        epoch = self.word(512 + 256 * stripe + 8)
        found = []
        for entry in range(6):
            at = line + 24 + 8 * entry if entry < 5 else line + 8
            word = self.word(at)
            cell, seen = word >> 32, []
            if cell == 0 or entry < 5 and tag is not None and word >> 3 & 0x1FF != tag:
                continue
            while cell != 0:
                try:
                    item = self.head(cell)
                    seen.append(look(item, word))
                except Again:
                    self.check(epoch, stripe, at, word)
                    raise Corrupt("an item that cannot be, at cell %d" % cell)
                cell = item["next"] if entry == 5 else 0
                if len(seen) > CHAIN_MAX:
                    break
            self.check(epoch, stripe, at, word)
            found += [each for each in seen if each is not None]
        return found

    def steadily(self, line, tag, look):
        for _ in range(100000):
            try:
                return self.items(line, tag, look)
            except Again:
                pass
        raise Corrupt("overtaken")

    def get_item(self, key):
        """(value, flags, milliseconds to live or 0), or None."""
        k0, k1 = self.word(64), self.word(72)
        if k0 == 0 or k1 == 0:
            return None
        h = siphash13(k0, k1, key)
        stripe = (h >> 58) % self.stripes
        number = (h & 0xFFFFFFFF) * self.lines >> 32
        line = self.at_lines + 64 * (stripe * self.lines + number)

        def look(item, word):
            if item["key_size"] != len(key) or self.key(item) != key or self.is_stale(item):
                return None
            return self.value(item, word, line), item["flags"], item["expiry"]

        found = self.steadily(line, h >> 48 & 0x1FF, look)
        return found[0] if found else None

    def pairs(self):
        for number in range(self.stripes * self.lines):
            line = self.at_lines + 64 * number

            def look(item, word):
                if self.is_stale(item):
                    return None
                return self.key(item), self.value(item, word, line)

            yield from self.steadily(line, None, look)


    def forms(self):
        hot = chained = most = 0
        for number in range(self.stripes * self.lines):
            line = self.at_lines + 64 * number

            def look(item, word):
                size = 40 + item["key_size"]
                size += item["number"] if item["type"] in (STRING, CODED) else 0
                return word & HOT != 0, word == chain, self.runs(item["cell"], item["run"], size)

            chain = self.word(line + 8)
            for is_hot, is_chained, runs in self.steadily(line, None, look):
                hot, chained, most = hot + is_hot, chained + is_chained, max(most, runs)
        return hot, chained, most


def show(value):
    """As the spec does: numbers and strings can be told from each other."""
    if value is None or isinstance(value, bool):
        return "nil" if value is None else str(value).lower()
    if isinstance(value, int):
        return "%d" % value
    if isinstance(value, float):
        return "float %s" % struct.pack(">d", value).hex()
    if isinstance(value, list):
        return "[" + ", ".join(map(show, value)) + "]"
    if len(value) > 64:
        return "%d bytes, %d" % (len(value), sum(i * byte for i, byte in enumerate(value)))
    return '"%s"' % value.hex()


def print_all(shared):
    print("%d hot, %d in chains, %d runs" % shared.forms())
    for key in sys.stdin:
        item = shared.get_item(bytes.fromhex(key))
        print(show(item and item[0]), item[1] if item else "")
    for line in sorted("%s %s" % (show(key), show(value)) for key, value in shared.pairs()):
        print(line)


def check_all(shared, seconds):
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for key, value in shared.pairs():
            assert value == key[-1:] * len(value), (key, value[:20])
        rounds += 1
    print("ok" if rounds else "nothing")


if __name__ == "__main__":
    if sys.argv[2:]:
        check_all(Dict(sys.argv[1]), float(sys.argv[3]))
    else:
        print_all(Dict(sys.argv[1]))
