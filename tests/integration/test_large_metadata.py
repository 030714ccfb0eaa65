# SPDX-License-Identifier: Apache-2.0
"""Metadata too large for a row of the database: a file beside it, written by uptane-verify."""
import contextlib
import hashlib
import os
import sqlite3

import pytest

COUNT = 3000  # targets: about 700 KiB


def crowd(world, count=COUNT):
    """Publishes an Image repository whose Targets are large."""
    image = world.backend.image
    for number in range(count):
        image.targets["crowd/%05d.bin" % number] = {"length": number, "hashes": {"sha256": hashlib.sha256(b"%d" % number).hexdigest()},
                                                    "custom": {"hardwareIds": ["other"], "targetFormat": "BINARY"}}
    image.publish()


def metadata_files(vehicle):
    try:
        return sorted(os.listdir(vehicle.path("state", "metadata")))
    except FileNotFoundError:
        return []


def rows(vehicle):
    """(role, length of bytes, file) of the Image repository, with the daemon stopped."""
    vehicle.control("stop", "uptaned")
    with contextlib.closing(sqlite3.connect(vehicle.path("state", "uptaned.db"))) as db:
        found = db.execute("SELECT role, length(bytes), file FROM metadata WHERE repository = 1 ORDER BY role").fetchall()
    vehicle.control("start", "uptaned")
    vehicle.wait_ready()
    vehicle.wait_state("idle")
    return found


def test_large_targets_lie_in_a_file_and_survive_a_restart(world):
    v = world.vehicle.boot()
    v.wait_state("idle")
    crowd(world)
    world.update_firmware()
    assert len(metadata_files(v)) == 1
    (_, small, none), (_, _, none_either), (role, nothing, file) = rows(v)
    assert small and none is None and none_either is None and (role, nothing) == (3, 0) and [file] == metadata_files(v)
    with open(v.path("state", "metadata", file), "rb") as f:
        assert f.read() == world.backend.image.files["targets.json"]
    # what is stored is found again, and not fetched again
    world.backend.log.clear()
    world.director.assign([("good-2.bin", world.backend.image.targets["good-2.bin"], v.secondaries[0].serial, "test-mcu", None)])
    v.check()
    assert v.error() == ("", "") and not world.backend.requests("repo/targets.json")
    # and what takes its place takes it whole
    world.update_firmware()
    assert len(metadata_files(v)) == 1 and metadata_files(v) != [file]
    image = world.backend.image
    image.targets = {name: target for name, target in image.targets.items() if not name.startswith("crowd/")}
    world.update_firmware()
    rows(v)
    assert metadata_files(v) == []


# T-13: rollback, with the baseline in a file
def test_large_targets_are_a_baseline_after_a_restart(world):
    v = world.vehicle.boot()
    v.wait_state("idle")
    crowd(world)
    image = world.backend.image
    old = dict(image.files)
    world.update_firmware()
    new = dict(image.files)
    v.kill_daemon()
    v.check()
    world.director.assign([("good-9.bin", world.backend.add_image("good-9.bin", b"good", ["test-mcu"]), v.secondaries[0].serial, "test-mcu",
                            None)])
    image.files.clear()
    image.files.update(old)
    v.check()
    assert v.error()[0] == "Rollback"
    image.files.clear()
    image.files.update(new)
    image.publish()
    v.check()
    assert v.error() == ("", "")
    assert len(metadata_files(v)) == 1


def test_a_lost_file_of_trusted_metadata_is_told_and_not_taken_for_a_fresh_start(world):
    v = world.vehicle.boot()
    v.wait_state("idle")
    crowd(world)
    world.update_firmware()
    (name,) = metadata_files(v)
    path = v.path("state", "metadata", name)
    os.rename(path, path + ".kept")
    world.assign(firmware=world.publish_firmware("next.bin", b"next"))
    v.check()
    error, message = v.error()
    assert error == "Storage" and name in message
    assert v.secondaries[0].content() != b"next"
    os.rename(path + ".kept", path)
    v.check()
    v.wait_state("idle")
    assert v.error() == ("", "") and v.secondaries[0].content() == b"next"


@pytest.mark.world(config="[limits]\ntargets = 300K\n")
def test_a_limit_below_the_size_is_kept(world):
    v = world.vehicle.boot()
    v.wait_state("idle")
    crowd(world)
    world.assign(firmware=world.publish_firmware("good.bin", b"good"))
    v.check()
    assert v.error()[0] == "TooLarge"
    assert metadata_files(v) == []
    crowd_names = [name for name in world.backend.image.targets if name.startswith("crowd/")]
    for name in crowd_names:
        del world.backend.image.targets[name]
    world.backend.image.publish()
    world.update_firmware()
