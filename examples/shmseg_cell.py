#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a cell of shmseg from Python, with a read-only mapping, from what doc/format.md says alone.

As a module:

    import shmseg_cell

    with shmseg_cell.Cell("latest") as cell:
        value, version = cell.get()                  # bytes and a number; None and 0 before the first value
        value, version = cell.wait(version, 10)      # another version than this one, within ten seconds

As a program: python3 shmseg_cell.py --help

What is not promised:

* The order of memory accesses. A reader loads the version, copies the value, loads the version again, and takes
  the copy only if no writer has come back to the buffer meanwhile. doc/format.md asks for a load with acquire
  order and for a fence in between. Python issues neither. CPython takes the three steps one after the other, and
  x86 does not reorder loads: there the check catches every value that was overwritten. Other processors may
  reorder them: there a torn value can pass, and nothing here would see it.
* That a word is loaded in one step. No document of Python's promises it. On x86-64 CPython 3.10 to 3.12 loaded
  three million words from a memoryview each, beside a writer that changed all bits, and none was in halves. A
  version in halves is most likely another one at the second look, and then the reader tries again.
* The interpreter's life. When another process shrinks the object after the look at its size and before the copy,
  the kernel sends SIGBUS and Python dies. A cut before that is the exception Truncated.
* Anything about a value but that it is whole: who may write the cell can set any bytes, and the header, too.
* Waking: wait() looks again and again, every few milliseconds.

It only reads: a writer needs the locks of doc/format.md. Numbers are in the byte order of this machine, as those
of every process on it. Bytes that come from a machine with another byte order are refused.
"""

import argparse
import mmap
import os
import stat
import struct
import sys
import time

FOLDER = "/dev/shm"

MAGIC = 0x53484D53  # the state of a complete object
BUILDING = 0x80000000  # from here on: somebody builds it
KIND, FORMAT = 5, 1  # a cell; the version of its format
HEADER = struct.Struct("@IIIIQQ")  # state, kind, format, 0, size, capacity
WORD, BUFFERS, COUNT = 128, 192, 4


class CellError(Exception):
    """What went wrong with a cell, in a line."""


class NotThere(CellError, FileNotFoundError):
    """There is no object of that name: its writer has to be started first."""


class Incompatible(CellError):
    """What is there is no cell that this module knows."""


class Truncated(CellError):
    """Another process has shrunk the object: open the cell anew."""


class Corrupt(CellError):
    """The bytes are no state of a cell: somebody has written over it."""


class Overtaken(CellError, TimeoutError):
    """Writers were faster than the copy, again and again."""


class Cell:
    """The cell of that name, or the one at an offset in the segment of that name."""

    def __init__(self, name, offset=0):
        self.name = name
        self._words = self._memory = None
        if offset < 0 or offset % 64 != 0:
            raise ValueError("a cell lies at a multiple of 64, not at %d" % offset)
        self._memory = _map(name)
        try:
            self._attach(offset)
        except BaseException:
            self.close()
            raise

    def _attach(self, offset):
        if len(self._memory) < offset + HEADER.size:
            raise Incompatible("%s: too small for a cell" % self.name)
        self._end = offset + HEADER.size
        self._check_size()
        state, kind, form, _, size, capacity = HEADER.unpack_from(self._memory, offset)
        if state == int.from_bytes(MAGIC.to_bytes(4, "big"), "little"):
            raise Incompatible("%s: made on a machine with another byte order" % self.name)
        if state >= BUILDING:
            raise Incompatible("%s: no cell, or not complete yet" % self.name)
        if (state, kind) != (MAGIC, KIND):
            raise Incompatible("%s: no cell" % self.name)
        if form != FORMAT:
            raise Incompatible("%s: a cell of format %d, %d is known" % (self.name, form, FORMAT))
        self.capacity = capacity  # the header never changes again; from here on our own copy counts
        self._stride = (8 + capacity + 63) // 64 * 64
        if capacity == 0 or size != BUFFERS + COUNT * self._stride:
            raise Incompatible("%s: no cell: its size does not fit its capacity" % self.name)
        self._end = offset + size
        if len(self._memory) < self._end:
            raise Incompatible("%s: smaller than its header says" % self.name)
        self._offset = offset
        with memoryview(self._memory) as whole, whole[: self._end] as part:
            self._words = part.cast("Q")  # every word of 8 bytes is loaded through this

    def _check_size(self):
        if self._memory.size() < self._end:  # asks the kernel
            raise Truncated("%s: another process has shrunk it" % self.name)

    def _word(self, offset):
        return self._words[(self._offset + offset) // 8]

    def version(self):
        """The version of the latest value; 0 before the first one."""
        self._check_size()
        word = self._word(WORD)
        if word == 0:  # versions are stored with 1 added: no cell ever has a 0 here
            raise Corrupt("%s: zeroes where the version is" % self.name)
        return word - 1

    def get(self, timeout=0.1):
        """The latest value, as bytes, and its version; None and 0 before the first one.

        When writers overwrite it faster than it is copied, it tries again for `timeout` seconds and then
        raises Overtaken."""
        deadline = time.monotonic() + timeout
        while True:
            version = self.version()
            if version == 0:
                return None, 0
            buffer = BUFFERS + version % COUNT * self._stride
            size = self._word(buffer)
            begin = self._offset + buffer + 8
            value = self._memory[begin : begin + size] if size <= self.capacity else None
            # The buffer begins to change when version + 3 is published. A smaller number than before
            # is no version that the word can have come to.
            if 0 <= self.version() - version <= COUNT - 2:
                if value is None:
                    raise Corrupt("%s: a value larger than the capacity" % self.name)
                return value, version
            if time.monotonic() >= deadline:
                raise Overtaken("%s: overwritten faster than it can be read" % self.name)

    def wait(self, version=0, timeout=None, interval=0.005):
        """Value and version as soon as the version is not `version`, by looking every `interval` seconds.

        Raises TimeoutError after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.version() == version:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError("%s: no other value within %g seconds" % (self.name, timeout))
            time.sleep(interval)
        return self.get()

    def close(self):
        """Ends the mapping. The cell stays."""
        if self._words is not None:
            self._words.release()
            self._words = None
        if self._memory is not None:
            self._memory.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _map(name):
    """All of an object, read-only."""
    leaf = name[1:] if name.startswith("/") else name
    if "/" in leaf or leaf in ("", ".", ".."):
        raise ValueError("a name without slashes is wanted, not '%s'" % name)
    path = FOLDER + "/" + leaf
    try:
        # Not through a link, and without waiting for the other end of a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if not os.path.isdir(FOLDER):
            raise CellError("%s: %s is not there, where shared memory has its names" % (name, FOLDER)) from None
        raise NotThere("%s is not there; start first what sets it" % name) from None
    except OSError as error:
        raise CellError("%s: %s" % (name, error.strerror)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Incompatible("%s: no shared memory" % name)
        if status.st_size == 0:
            raise Incompatible("%s: empty" % name)
        return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)  # mmap has its own


def _seconds(text):
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def _whole(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_seconds.__name__, _whole.__name__ = "number of seconds", "number"  # what argparse calls them


def _main():
    parser = argparse.ArgumentParser(
        prog="shmseg_cell.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Prints the version and the value of a cell of shmseg, and then each change that it sees.",
        epilog="Start first, in another terminal:\n  lua5.4 latest.lua write\nThen:\n"
        "  python3 shmseg_cell.py latest --count 5",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="latest", help="the cell (latest)")
    parser.add_argument("--count", metavar="LINES", type=_whole, default=1, help="so many values (1)")
    parser.add_argument("--wait", metavar="SECONDS", type=_seconds, default=10, help="for each, at most (10)")
    options = parser.parse_args()
    with Cell(options.name) as cell:
        version = 0
        for _ in range(options.count):
            value, version = cell.wait(version, options.wait)
            if value is None:
                raise Corrupt("%s: its version has gone back to 0" % options.name)
            print(version, value.decode("utf-8", "backslashreplace"), flush=True)


if __name__ == "__main__":
    try:
        _main()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to flush goes nowhere
    except (CellError, OSError, ValueError) as error:
        sys.exit("shmseg_cell.py: %s" % error)
