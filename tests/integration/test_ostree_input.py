# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with an OSTree image on its way into a running vehicle: each time a typed error, what runs is still what boots
next, and the next good update succeeds."""
import glob
import os
import subprocess

import images as ostree
import pytest
from vehicle import wait_for


def objects(world, commit, kind):
    """Of this commit, as a pattern for the back-end's faults."""
    names = glob.glob(os.path.join(world.images.repo, "objects/*/*." + kind))
    return "^/treehub/objects/(%s)$" % "|".join("/".join(n.split("/")[-2:]) for n in names)


def unreachable(world, commit):
    world.backend.faults.add("^/treehub/", "drop")


def failing(world, commit):
    world.backend.faults.add("^/treehub/objects/", "status", 503)


def lying(world, commit):
    other = world.images.commit("other")
    with open(os.path.join(world.images.repo, "objects", other[:2], other[2:] + ".commit"), "rb") as f:
        world.backend.faults.add("/%s.commit$" % commit[2:], "replace", f.read())


def corrupt_folder(world, commit):
    world.backend.faults.add(r"\.dirtree$", "tamper")


def corrupt_file(world, commit):
    other = glob.glob(os.path.join(world.images.repo, "objects/*/*.filez"))
    with open(max(other, key=os.path.getsize), "rb") as f:
        world.backend.faults.add(r"\.filez$", "replace", f.read())


def missing(world, commit):
    world.backend.faults.add(r"\.filez$", "status", 404)


def cut(world, commit):
    world.backend.faults.add(r"\.filez$", "cutoff", 30)


def read_only(world, commit):
    pid, repo = str(world.vehicle.daemon_pid()), "/sysroot/ostree/repo"
    inside = ["nsenter", "--target=" + pid, "--mount", "--root", "--wd=/", "--"]
    subprocess.run([*inside, "mount", "--bind", repo, repo], check=True)
    subprocess.run([*inside, "mount", "-o", "remount,bind,ro", repo], check=True)
    return lambda: subprocess.run([*inside, "umount", repo], check=True)


def reserve(world, size):
    ostree.run("ostree", "--repo=%s/ostree/repo" % world.vehicle.sysroot, "config", "set", "core.min-free-space-size", size)


def full(world, commit):
    reserve(world, "1000TB")
    return lambda: reserve(world, "1MB")


BAD = [
    (unreachable, "Network", ""), (failing, "Http", "503"), (lying, "ImageMismatch", ""), (corrupt_folder, "ImageMismatch", ""),
    (corrupt_file, "ImageMismatch", ""), (missing, "NotFound", ""), (cut, "Network", ""), (read_only, "System", "ead-only file system"),
    (full, "NoSpace", "min-free-space"),
]


def refused(world, error, text):
    v = world.vehicle
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] and v.state() == "idle", lambda: "an error; %s, %s" % (v.state(), v.log("uptaned")[-1500:]), 60)
    name, message = v.error()
    assert name == error and text in message, (name, message)
    assert "org.uptane.Error." + error in v.log("uptaned")
    assert message in v.ctl("status").stdout
    assert [commit for _, commit in ostree.deployments(v.sysroot)] == [v.factory_commit]
    return message


def recovers(world):
    """The next good update, of another image."""
    v = world.vehicle
    correlation = world.assign(world.publish_commit("good"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("good") == world.director.installed(v.serial)[1]
    assert [r["result"]["code"] for r in world.director.reports() if r["correlation_id"] == correlation] == ["OK"]
    ostree.run("ostree", "--repo=%s/ostree/repo" % v.sysroot, "fsck", "-q")


@pytest.mark.world(secondaries=0)
@pytest.mark.parametrize("spoil, error, text", BAD, ids=[bad[0].__name__ for bad in BAD])
def test_t45_an_ostree_image_that_cannot_be_had_whole_changes_nothing_and_the_next_update_succeeds(world, spoil, error, text):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    pid = v.control("pid", "uptaned")
    world.assign(world.publish_commit("2"))
    mend = spoil(world, world.images.commit("2"))
    refused(world, error, text)
    assert v.control("pid", "uptaned") == pid
    world.backend.faults.clear()
    if mend:
        mend()
    recovers(world)


@pytest.mark.world(secondaries=0)
def test_t45_a_commit_for_another_architecture_never_comes_near_a_deployment(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    tree = os.path.join(world.images.directory, "tree-2")
    world.images.commit("2")
    commit = ostree.run("ostree", "--repo=" + world.images.repo, "commit", "--branch=test/s390x", "--tree=dir=" + tree, "--owner-uid=0",
                        "--owner-gid=0", "--subject=s390x", "--add-metadata-string=ostree.architecture=s390x")
    world.assign(("os-s390x", world.backend.add_commit("os-s390x", commit, [v.HARDWARE_ID])))
    assert "s390x" in refused(world, "HardwareMismatch", os.uname().machine)
    recovers(world)


@pytest.mark.world(secondaries=0)
def test_an_image_larger_than_the_disk_is_refused_before_it_is_fetched_with_both_numbers(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    world.backend.image.target("os-huge", length=1 << 50, digests={"sha256": world.images.commit("2")}, hardwareIds=[v.HARDWARE_ID],
                               targetFormat="OSTREE")
    world.backend.image.publish()
    world.assign(("os-huge", world.backend.image.targets["os-huge"]))
    message = refused(world, "NoSpace", "%d KiB are needed" % (1 << 40))
    assert " KiB are available" in message
    assert not world.backend.requests(r"/treehub/.*\.(filez|dirtree)$")
    recovers(world)


@pytest.mark.world(secondaries=0, config="[limits]\nmax-speed = 8K\n")
def test_progress_counts_bytes_and_objects_and_the_monitor_shows_it(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    world.images.commit("2")
    big = os.path.join(world.images.directory, "tree-2", "usr/big")
    with open(big, "wb") as f:
        f.write(os.urandom(40000))
    commit = ostree.run("ostree", "--repo=" + world.images.repo, "commit", "--branch=test/big", "--tree=dir=" + os.path.dirname(os.path.dirname(big)),
                        "--owner-uid=0", "--owner-gid=0", "--subject=big")
    os.unlink(big)
    world.assign(("os-big", world.backend.add_commit("os-big", commit, [v.HARDWARE_ID])))
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=v.bus_address())
    monitor = subprocess.Popen([os.path.join(v.build, "daemon/uptanectl/uptanectl"), "monitor"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        v.call("CheckForUpdates")
        v.wait_reboot()
        out, _ = monitor.communicate(timeout=20)
    finally:
        monitor.kill()
    lines = out.splitlines()
    assert any("ProgressStep \"downloading: " in line and " objects\"" in line for line in lines), out
    assert any("ProgressStep \"verifying: " in line for line in lines), out
    assert any("ProgressDone" in line and int(line.split()[-1]) > 0 for line in lines), out
