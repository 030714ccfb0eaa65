# SPDX-License-Identifier: Apache-2.0
"""All that a machine wrote to its disk, as QEMU's blklogwrites recorded it (the format of dm-log-writes), and the disk as a
power cut at any point would have left it.

A disk may lose, or write before others, whatever it was not told to flush. So a cut takes away either everything behind it,
or some more: of the writes since the last flush before it, those that chance picks.
"""
import bisect
import os
import random
import struct

from vm.disk import copy

MAGIC, SECTOR = 0x6a736677736872, 512
FLUSH, DISCARD = 1, 4
SUPER, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")


def prepare(path):
    """QEMU writes into a file that is large enough; most of it is a hole."""
    with open(path, "wb") as f:
        f.truncate(4 << 30)
    return path


class Writes:
    def __init__(self, path, begin):
        """begin: the disk as it was before the first of them."""
        self.begin = begin
        self.log = os.open(path, os.O_RDONLY)
        magic, _, number, sector = SUPER.unpack(os.pread(self.log, SUPER.size, 0))
        if (magic, sector) != (MAGIC, SECTOR):
            raise AssertionError("%s is no log of writes with sectors of %d" % (path, SECTOR))
        self.entries = []  # (offset on the disk, length, offset in the log); a flush has no length
        self.flushes = []  # their places in it
        position = SECTOR
        for _ in range(number):
            where, sectors, flags, _ = ENTRY.unpack(os.pread(self.log, ENTRY.size, position))
            position += SECTOR
            if flags & FLUSH:
                self.flushes.append(len(self.entries))
            length = 0 if flags & DISCARD else sectors * SECTOR
            self.entries.append((where * SECTOR, length, position))
            position += length

    def __len__(self):
        return len(self.entries)

    def near(self, begin, end):
        """Places at which something between these offsets of the disk has just been written."""
        return [i + 1 for i, (offset, length, _) in enumerate(self.entries) if length and begin <= offset < end]

    def _flushed(self, cut):
        """Where the last flush before it stands."""
        i = bisect.bisect_left(self.flushes, cut)
        return self.flushes[i - 1] if i else 0

    def _apply(self, disk, chosen):
        for offset, length, position in chosen:
            if length:
                os.pwrite(disk, os.pread(self.log, length, position), offset)

    def rebuild(self, cuts, scratch):
        """For each (place, lossy), in order of places: a disk, in the file scratch, valid until the next one is asked for."""
        rolling, done = copy(self.begin, scratch + ".flushed"), 0
        disk = os.open(rolling, os.O_WRONLY)
        try:
            for cut, lossy in cuts:
                flushed = self._flushed(cut)
                self._apply(disk, self.entries[done:flushed])
                done = max(done, flushed)
                yield cut, lossy, self._end(copy(rolling, scratch), self.entries[flushed:cut], random.Random(cut) if lossy else None)
        finally:
            os.close(disk)
            os.unlink(rolling)

    def _end(self, path, entries, chance):
        disk = os.open(path, os.O_WRONLY)
        self._apply(disk, entries if chance is None else [e for e in entries if chance.random() < 0.5])
        os.close(disk)
        return path
