# SPDX-License-Identifier: Apache-2.0
"""A journal for one vehicle: what uptaned sends there, with all fields."""
import os
import socket
import threading

ATTACK = "e0a4f3b1c2d94c7b8f5a6d1e3b7c9f02"  # daemon/uptaned/journal.h

SCRIPT = """#!/bin/sh
mkdir -p /run/systemd/journal && ln -sf {0} /run/systemd/journal/socket || exit 1
JOURNAL_STREAM=1:1 exec {1} "$@"
"""


class Journal:
    """Made before the vehicle boots; wraps what is to run as uptaned."""

    def __init__(self, vehicle):
        self.entries = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(vehicle.path("journal"))
        script = vehicle.path("with-journal.sh")
        with open(script, "w", encoding="utf-8") as f:
            f.write(SCRIPT.format(vehicle.path("journal"), " ".join(vehicle.wrap.get("uptaned", ["/run/build/daemon/uptaned/uptaned"]))))
        os.chmod(script, 0o755)
        vehicle.wrap["uptaned"] = [script]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                lines = self.socket.recv(65536).decode().splitlines()
                self.entries.append(dict(line.split("=", 1) for line in lines if "=" in line))
        except OSError:
            pass

    def attacks(self):
        return [entry for entry in self.entries if entry.get("MESSAGE_ID") == ATTACK]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
