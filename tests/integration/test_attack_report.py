# SPDX-License-Identifier: Apache-2.0
"""A detected attack is told to everybody who ought to know: to the user (LastError), to the journal under a MESSAGE_ID of
its own, and to the Director in the next version report that it accepts, whatever happens in between.
"""
import json
import os
import re
import time

import pytest
from attack import attacks
from backend.director import Refused
from clock import DAY, Clock
from helpers_fixture import SECONDARY_WITH_LIBRARIES
from journal import Journal
from vehicle import wait_for

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
SLOW = "[limits]\nmin-speed = 1000\nmin-speed-seconds = 1\n"


@pytest.fixture
def told(world):
    """The world with a vehicle whose journal can be read, booted."""
    world.journal = Journal(world.vehicle)
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    yield world
    world.journal.close()


def good_cycle(world):
    """A check that ends well. Its manifest is the last one that was accepted."""
    v = world.vehicle
    v.wait_state("idle")
    before = len(world.director.manifests)
    v.verb("CheckForUpdates")
    wait_for(lambda: len(world.director.manifests) > before and v.state() == "idle" and v.error() == ("", ""),
             lambda: "a good cycle; %s, %s" % (v.state(), v.error()))
    assert len(world.director.manifests) == before + 1


def bad_cycle(world, name):
    """A check, and what follows from it, that ends with this error. Returns its message."""
    v = world.vehicle
    v.wait_state("idle")
    before = len(world.backend.requests("director/manifest"))
    v.verb("CheckForUpdates")
    wait_for(lambda: len(world.backend.requests("director/manifest")) > before and v.state() == "idle" and v.error()[0] == name,
             lambda: "%s; %s, %s" % (name, v.state(), v.error()))
    return v.error()[1]


def is_told_once(world, attack, message, **fields):
    """In the journal once, in the next report, and in none after that."""
    entries = world.journal.attacks()
    assert len(entries) == 1, entries
    assert entries[0]["UPTANE_ATTACK"] == attack and entries[0]["MESSAGE"] == message and entries[0]["PRIORITY"] == "3"
    assert {name: entries[0].get("UPTANE_" + name) for name in fields} == fields
    good_cycle(world)
    text = attacks(world)
    assert re.fullmatch(r"%s: %s \(%s\)" % (attack, re.escape(message.replace(";", ",")), TIME), text), text
    good_cycle(world)
    assert attacks(world) == ""
    assert len(world.journal.attacks()) == 1 and not world.director.refused


def test_nothing_is_told_where_nothing_is_wrong(told):
    told.update_firmware()
    told.vehicle.kill_daemon()
    told.update_firmware()
    good_cycle(told)
    for document in told.director.manifests:
        for report in document["signed"]["ecu_version_manifests"].values():
            assert report["signed"]["attacks_detected"] == ""
    assert not told.journal.attacks()


def offer_older_metadata(world):
    """What was good before the last publication; returns what is offered and what is trusted."""
    repository = world.director.repository
    saved = repository.save()
    repository.publish()
    good_cycle(world)
    repository.replay(saved, "timestamp", "snapshot", "targets")
    return saved[1]["timestamp"], repository.versions["timestamp"]


# Uptane 5.4.2.1.2 (h): what was detected stands in the report
def test_a_rollback_is_told_with_role_and_version(told):
    old, trusted = offer_older_metadata(told)
    message = bad_cycle(told, "Rollback")
    assert message == "director timestamp: version %d, but version %d was already trusted" % (old, trusted)
    told.director.repository.publish()
    is_told_once(told, "rollback", message, REPOSITORY="director", ROLE="timestamp", VERSION=str(old),
                 ERROR="org.uptane.Error.Rollback", ECU=None)


def test_an_attack_is_told_after_kill_and_power_cut_and_refused_manifests(told):
    v = told.vehicle
    offer_older_metadata(told)
    told.backend.faults.add("/director/manifest", "status", 500)
    bad_cycle(told, "Rollback")

    def again(restart):
        """Starting is checking: the same attack is met once more."""
        count = len(told.backend.requests("director/timestamp.json"))
        restart()
        wait_for(lambda: len(told.backend.requests("director/timestamp.json")) > count and v.state() == "idle"
                 and v.error()[0] == "Rollback", lambda: "the attack again; %s, %s" % (v.state(), v.error()))

    def cut_power():
        v.power_cut()
        v.boot()

    again(v.kill_daemon)
    again(cut_power)
    told.backend.faults.clear()
    told.director.repository.publish()
    good_cycle(told)
    assert re.fullmatch(r"rollback: director timestamp: version .* \(%s, 3 times\)" % TIME, attacks(told)), attacks(told)
    good_cycle(told)
    assert attacks(told) == ""


def test_two_attacks_are_told_together(told):
    told.backend.faults.add("/director/manifest", "status", 500)
    offered = told.director.repository
    offered.publish()
    told.backend.faults.add("^/director/targets.json", "tamper", 100)
    first = bad_cycle(told, "MixAndMatch")
    told.backend.faults.add("/director/timestamp.json", "endless")
    bad_cycle(told, "TooLarge")
    told.backend.faults.clear()
    offered.publish()
    good_cycle(told)
    entries = attacks(told).split("; ")
    assert len(entries) == 2 and entries[0].startswith("mix and match: " + first) and entries[1].startswith("endless data: director timestamp: ")
    good_cycle(told)
    assert attacks(told) == ""


def test_mixed_metadata_is_told(told):
    told.director.repository.publish()
    told.backend.faults.add("^/director/targets.json", "tamper", 100)
    message = bad_cycle(told, "MixAndMatch")
    told.backend.faults.clear()
    is_told_once(told, "mix and match", message, REPOSITORY="director", ROLE="targets")


def test_expired_metadata_is_told_and_a_later_look_at_the_clock_is_no_other_attack(told):
    from backend.repository import after
    repository = told.director.repository
    good, repository.expires["timestamp"] = repository.expires["timestamp"], after(seconds=-10)
    repository.publish()
    told.backend.faults.add("/director/manifest", "status", 500)
    first, second = bad_cycle(told, "MetadataExpired"), int(time.time())
    wait_for(lambda: int(time.time()) > second, "the next second")
    assert bad_cycle(told, "MetadataExpired") != first
    told.backend.faults.clear()
    repository.expires["timestamp"] = good
    repository.publish()
    good_cycle(told)
    assert re.fullmatch(r"freeze: director timestamp version .* \(%s, 2 times\)" % TIME, attacks(told)), attacks(told)


def test_an_image_with_wrong_bytes_is_told(told):
    data = b"what was signed\n" * 100
    told.assign(firmware=told.publish_firmware("bad.bin", data, served=data.replace(b"w", b"W")))
    message = bad_cycle(told, "ImageMismatch")
    assert "bad.bin" in message
    told.director.clear()
    is_told_once(told, "arbitrary software", message, ERROR="org.uptane.Error.ImageMismatch")


ASK = "[update]\nconsent-install = ask\n"


def download_and_ask(world, data):
    v = world.vehicle
    update = world.assign(firmware=world.publish_firmware("waits.bin", data))
    v.verb("CheckForUpdates")
    wait_for(lambda: v.state() == "awaiting-consent" and v.property("Update")["Stage"] == "install", lambda: "the question; " + v.state())
    return update


def approve_in_vain(world, update, name):
    v = world.vehicle
    v.call("Approve", "(ss)", (update, "install"))
    wait_for(lambda: v.error()[0] == name and v.state() == "idle", lambda: "%s; %s, %s" % (name, v.state(), v.error()))
    assert v.secondaries[0].content() is None
    return v.error()[1]


# Uptane 5.4.3 (4), Uptane 5.4.3.4 (a)
@pytest.mark.world(config=ASK)
def test_an_image_that_is_swapped_behind_its_verification_is_told(told):
    data = b"verified" * 1000
    update = download_and_ask(told, data)
    folder = told.vehicle.path("state", "images")
    with open(os.path.join(folder, os.listdir(folder)[0]), "r+b") as f:
        f.write(b"V")
    message = approve_in_vain(told, update, "ImageMismatch")
    told.director.clear()
    is_told_once(told, "arbitrary software", message)


@pytest.mark.world(config=ASK)
def test_an_image_that_is_swapped_before_a_restart_is_told_and_fetched_again(told):
    v, data = told.vehicle, b"verified" * 1000
    update = download_and_ask(told, data)
    folder = v.path("state", "images")
    with open(os.path.join(folder, os.listdir(folder)[0]), "r+b") as f:
        f.write(b"V")
    told.backend.log.clear()
    v.kill_daemon()
    wait_for(lambda: told.backend.requests("targets/waits.bin") and v.state() == "awaiting-consent"
             and v.property("Update")["Stage"] == "install", lambda: "the question again; " + v.state())
    v.verb("Approve", "(ss)", (update, "install"))
    wait_for(lambda: v.secondaries[0].content() == data and v.state() == "idle", "the installation")
    entries = told.journal.attacks()
    assert len(entries) == 1 and entries[0]["UPTANE_ATTACK"] == "arbitrary software" and "waits.bin" in entries[0]["MESSAGE"]
    assert "arbitrary software: " in "".join(attacks(told, manifest=i) for i in (-1, -2))
    good_cycle(told)
    assert attacks(told) == ""


# Uptane 5.4 (f), Uptane 5.4.3 (2), Uptane 5.4.3.2 (a), Uptane 5.4.3.4 (1)
@pytest.mark.world(config=ASK)
def test_metadata_that_expires_before_the_installation_is_told(world):
    clock = Clock(world.vehicle)
    world.journal = Journal(world.vehicle)
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    update = download_and_ask(world, b"waited too long" * 100)
    clock.set(400 * DAY)
    message = approve_in_vain(world, update, "MetadataExpired")
    clock.set(0)
    world.director.clear()
    is_told_once(world, "freeze", message, REPOSITORY="director")
    world.journal.close()


# T-39: slow-loris; Uptane 5.4 (c); Uptane 5.4 (e): and a slow download is told to the Director
@pytest.mark.world(config=SLOW)
@pytest.mark.parametrize("path", ["/director/timestamp.json", "/repo/targets.json", "/repo/targets/slow.bin"])
def test_a_body_that_trickles_is_cut_off_and_told_as_slow_retrieval(told, path):
    told.assign(firmware=told.publish_firmware("slow.bin", b"slow" * 10000))
    told.backend.faults.add("^%s$" % path, "trickle", 5)
    message = bad_cycle(told, "TooSlow")
    assert told.backend.url + path in message and "at least 1000 a second" in message
    assert told.vehicle.secondaries[0].content() is None
    told.backend.faults.clear()
    told.director.clear()
    is_told_once(told, "slow retrieval", message, ERROR="org.uptane.Error.TooSlow")
    told.update_firmware()


# T-39: slow-loris
@pytest.mark.world(config=SLOW)
def test_an_ostree_commit_that_trickles_is_cut_off_and_told_as_slow_retrieval(told):
    told.assign(told.publish_commit("2"))
    told.backend.faults.add("^/treehub/objects/", "trickle", 5)
    message = bad_cycle(told, "TooSlow")
    assert "os-2" in message and "/treehub" in message and "at least 1000 a second" in message
    told.backend.faults.clear()
    told.director.clear()
    is_told_once(told, "slow retrieval", message)


# T-39: stall
@pytest.mark.world(config=SLOW + "[timeouts]\nmetadata = 2\nimage = 2\n")
@pytest.mark.parametrize("path", ["/director/timestamp.json", "/repo/targets/stalls.bin"])
def test_a_body_that_does_not_come_ends_as_well_and_accuses_nobody(told, path):
    told.assign(firmware=told.publish_firmware("stalls.bin", b"stalls"))
    told.backend.faults.add("^%s$" % path, "stall")
    bad_cycle(told, "Timeout")
    told.backend.faults.clear()
    good_cycle_manifests = len(told.director.manifests)
    told.update_firmware()
    assert all(attacks(told, manifest=i) == "" for i in range(good_cycle_manifests, len(told.director.manifests)))
    assert not told.journal.attacks()


# Uptane 5.4.4.2 (1a, 1b): a Secondary's own clock
def test_what_a_secondary_detects_stands_in_its_own_report_and_once_in_the_journal(world):
    v = world.vehicle
    serial = v.secondaries[0].serial
    clock = Clock(v, "uptane-secondary", "secondary", SECONDARY_WITH_LIBRARIES)
    world.journal = Journal(v)
    v.boot()
    v.wait_state("idle")
    clock.set(400 * DAY)
    world.assign(firmware=world.publish_firmware("late.bin", b"late" * 100))
    bad_cycle(world, "Secondary")
    world.director.clear()
    for _ in range(3):
        good_cycle(world)
        assert attacks(world, serial) == "freeze" and attacks(world) == ""
    entries = world.journal.attacks()
    assert [(e["UPTANE_ECU"], e["UPTANE_ATTACK"]) for e in entries] == [(serial, "freeze")], entries
    clock.set(0)
    world.update_firmware()
    assert attacks(world, serial) == ""
    world.journal.close()


# T-50: replayed old manifest; Uptane 5.4.2.1.2 (k)
def test_the_report_counter_rises_over_restart_and_power_cut_and_an_old_manifest_is_not_taken_again(told):
    v, director = told.vehicle, told.director

    def counters():
        return [int(d["signed"]["ecu_version_manifests"][v.serial]["signed"]["report_counter"]) for d in director.manifests]

    def started(restart):
        before = len(director.manifests)
        restart()
        wait_for(lambda: len(director.manifests) > before and v.state() == "idle", "a check at the start")

    def cut_power():
        v.power_cut()
        v.boot()

    good_cycle(told)
    old = json.dumps(director.manifests[-1]).encode()
    started(v.kill_daemon)
    started(cut_power)
    # and where the answer, or the daemon, was lost after the counter had been used
    told.backend.faults.add("/director/manifest", "drop", times=1)
    bad_cycle(told, "Network")
    good_cycle(told)
    seen = counters()
    assert len(seen) >= 5 and seen == sorted(set(seen)), seen
    assert not director.refused
    with pytest.raises(Refused, match="report counter"):
        told.backend.send("PUT", "/director/manifest", old, v.device_id)
