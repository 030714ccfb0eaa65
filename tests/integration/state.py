# SPDX-License-Identifier: Apache-2.0
"""What a vehicle trusts, read from its database. The daemon has the database for itself: a copy is read."""
import contextlib
import os
import shutil
import sqlite3
import tempfile


def trusted(vehicle):
    """{(table, repository, role or version or name): bytes} of all trusted metadata."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("uptaned.db", "uptaned.db-wal"):
            if os.path.exists(vehicle.path("state", name)):
                shutil.copy(vehicle.path("state", name), folder)
        with contextlib.closing(sqlite3.connect(os.path.join(folder, "uptaned.db"))) as db:
            rows = {}
            for table, key, file in (("root", "version", "NULL"), ("metadata", "role", "file"), ("delegated", "name", "file")):
                for repository, name, data, large in db.execute("SELECT repository, %s, bytes, %s FROM %s" % (key, file, table)):
                    rows[table, ("director", "image")[repository], name] = data if large is None else read(vehicle, large)
            return rows


def read(vehicle, file):
    """What is too large for a row lies beside the database."""
    with open(vehicle.path("state", "metadata", file), "rb") as f:
        return f.read()


def delegated(vehicle):
    """The delegated roles that are kept, by name."""
    return {name: data for (table, _, name), data in trusted(vehicle).items() if table == "delegated"}
