# SPDX-License-Identifier: Apache-2.0
"""What a bad network or a bad repository does to an answer, on command."""
import re
import threading


class Fault:
    """kind: status (value: code), refusal (value: status and the code in its body), tamper (value: byte position, one bit is
    flipped), replace (value: bytes), cutoff (value: bytes sent of what was promised), trickle (value: bytes a second), endless,
    stall (until cleared), drop (the connection), redirect (value: URL), announce (value: what Content-Length says beside the
    truth), inflate (value: so many zeros, compressed)."""

    def __init__(self, pattern, kind, value=None, times=None, method=None):
        self.pattern, self.kind, self.value, self.times, self.method = re.compile(pattern), kind, value, times, method


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.list = []
        self.cleared = threading.Event()

    def add(self, pattern, kind, value=None, times=None, method=None):
        with self.lock:
            self.cleared.clear()
            self.list.append(Fault(pattern, kind, value, times, method))

    def clear(self):
        with self.lock:
            self.list = []
            self.cleared.set()

    def find(self, method, path):
        with self.lock:
            for fault in self.list:
                if fault.pattern.search(path) and fault.method in (None, method):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.list.remove(fault)
                    return fault
        return None
