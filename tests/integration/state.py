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
            for table, key in (("root", "version"), ("metadata", "role"), ("delegated", "name")):
                for repository, name, data in db.execute("SELECT repository, %s, bytes FROM %s" % (key, table)):
                    rows[table, ("director", "image")[repository], name] = data
            return rows


def delegated(vehicle):
    """The delegated roles that are kept, by name."""
    return {name: data for (table, _, name), data in trusted(vehicle).items() if table == "delegated"}
