# SPDX-License-Identifier: Apache-2.0
"""The version reports of the Secondaries on their way to the Director: each is checked, the last good one is kept, and an ECU
that is away, came, went or was replaced is noticed."""
import json
import os
import shutil
import threading
import time

import pytest
from attack import attacks, check
from between import Between
from cryptography.hazmat.primitives import serialization
from der import message, octets, parse
from journal import Journal
from vehicle import wait_for

from backend.keys import Key, envelope

CHANGED = "d2b85e0c9f6147a3b3c1e7f04a9d6b08"  # daemon/uptaned/journal.h


def reports(world, manifest=-1):
    return world.director.manifests[manifest]["signed"]["ecu_version_manifests"]


def cached(world, manifest=-1):
    """Which reports the last manifest says are old ones."""
    return world.director.manifests[manifest]["signed"].get("custom", {}).get("cached_reports", {})


def changes(world):
    return [entry["MESSAGE"] for entry in world.journal.entries if entry.get("MESSAGE_ID") == CHANGED]


@pytest.fixture
def noted(world):
    """With a journal, and somebody between the Primary and its first Secondary."""
    world.journal = Journal(world.vehicle)
    world.between = Between.join(world.vehicle, world.vehicle.secondaries[0])
    yield world
    world.between.close()
    world.journal.close()


@pytest.fixture
def started(noted):
    noted.vehicle.boot()
    noted.vehicle.wait_state("idle")
    check(noted)
    return noted


def key_of(secondary):
    key = Key()
    with open(os.path.join(secondary.folder, "state", "key.pem"), "rb") as f:
        key.private = serialization.load_pem_private_key(f.read(), None)
    return key


def signed_by_another_key(world, document):
    return envelope(document["signed"], [Key()])


def about_another_ecu(world, document):
    return envelope(dict(document["signed"], ecu_serial="somebody-else"), [key_of(world.vehicle.secondaries[0])])


def of_another_ecu(world, _):
    return json.dumps(reports(world)[world.vehicle.secondaries[1].serial]).encode()


def changed_on_the_way(world, document):
    return json.dumps(dict(document, signed=dict(document["signed"], attacks_detected="none at all"))).encode()


def repeated(world, _):
    return world.old


def without_its_counter(world, document):
    signed = {name: value for name, value in document["signed"].items() if name != "report_counter"}
    return envelope(signed, [key_of(world.vehicle.secondaries[0])])


# T-51; Uptane 5.4.3.6 (b): the last good one is written down
@pytest.mark.world(secondaries=2)
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("forge, error, kind", [
    (signed_by_another_key, "ForgedReport", "forged report"), (about_another_ecu, "ForgedReport", "forged report"),
    (of_another_ecu, "ForgedReport", "forged report"), (changed_on_the_way, "ForgedReport", "forged report"),
    (repeated, "ReplayedReport", "replayed report"), (without_its_counter, "ReplayedReport", "replayed report")])
def test_t51_a_forged_or_repeated_report_is_told_as_an_attack_and_not_forwarded(started, forge, error, kind, restart):
    world, v = started, started.vehicle
    first, second = v.secondaries
    world.old = json.dumps(reports(world)[first.serial]).encode()
    check(world)
    good = reports(world)[first.serial]
    assert not cached(world) and attacks(world) == ""
    if restart:
        v.kill_daemon()
        v.wait_state("idle")
        good = reports(world)[first.serial]

    def change(request, answer):
        if parse(request)[0] != 2:
            return answer
        return message(3, octets(forge(world, json.loads(parse(answer)[1][0]))))
    world.between.change = change
    check(world)
    assert reports(world)[first.serial] == good
    assert list(cached(world)) == [first.serial]
    assert attacks(world).startswith(kind + ": secondary1: ECU %s" % first.serial)
    assert v.ecu("secondary1", "LastError")[0] == "org.uptane.Error." + error and not v.ecu("secondary1", "Reachable")
    assert v.ecu("secondary2", "Reachable") and v.ecu("secondary2", "LastError")[0] == ""
    entry, = world.journal.attacks()
    assert (entry["UPTANE_ECU"], entry["UPTANE_ATTACK"]) == (first.serial, kind)
    world.between.change = lambda request, answer: answer
    check(world)
    assert attacks(world) == "" and not cached(world)
    assert int(reports(world)[first.serial]["signed"]["report_counter"]) > int(good["signed"]["report_counter"])
    assert not world.director.refused
    world.update_firmware()


def test_a_secondary_that_is_away_is_shown_so_and_its_last_report_is_sent_as_an_old_one(started):
    world, v = started, started.vehicle
    serial = v.secondaries[0].serial
    world.update_firmware()
    good = reports(world)[serial]
    v.control("stop", "secondary1")
    check(world)
    assert reports(world)[serial] == good and list(cached(world)) == [serial]
    assert not v.ecu("secondary1", "Reachable")
    shown = v.ctl("ecus").stdout
    assert "not reachable" in shown and "last report" in shown and "ago" in shown
    assert any(e.get("UPTANE_ECU") == serial and e.get("UPTANE_ERROR", "").endswith(("Unreachable", "Secondary")) for e in world.journal.entries)
    before = len(world.director.manifests)
    v.kill_daemon()
    wait_for(lambda: len(world.director.manifests) > before and v.state() == "idle", "a check at the start")
    assert reports(world)[serial] == good and list(cached(world)) == [serial], "it was kept over the restart"
    v.control("start", "secondary1")
    check(world)
    assert reports(world)[serial] != good and not cached(world) and v.ecu("secondary1", "Reachable")
    assert any("reports again" in e["MESSAGE"] for e in world.journal.entries)
    assert attacks(world) == "" and not world.journal.attacks() and not world.director.refused


@pytest.mark.world(secondaries=2)
def test_a_secondary_that_left_is_noticed_and_the_back_end_told_once(started):
    world, v = started, started.vehicle
    gone = v.secondaries[1]
    v.secondaries = v.secondaries[:1]
    v.write_config()
    for _ in range(2):
        v.kill_daemon()
        v.wait_state("idle")
        check(world)
    assert changes(world) == ["secondary2: ECU %s: it is not in this vehicle any more" % gone.serial]
    assert set(world.director.ecus) == set(reports(world)) == {v.serial, v.secondaries[0].serial}
    assert world.director.registrations == 2
    world.update_firmware()


@pytest.mark.world(secondaries=2)
def test_a_newcomer_that_is_not_there_yet_keeps_nobody_from_updates_and_is_registered_when_it_is(noted):
    world, v = noted, noted.vehicle
    everybody = v.secondaries
    v.secondaries = everybody[:1]
    v.write_config()
    v.secondaries = everybody
    v.boot()
    v.wait_state("idle")
    v.control("stop", "secondary2")
    v.write_config()
    v.kill_daemon()
    v.wait_state("idle")
    assert "secondary2: it is new in this vehicle" in changes(world)
    world.update_firmware()
    assert set(world.director.ecus) == {v.serial, everybody[0].serial}
    assert v.ecu("secondary2", "Serial") == "" and not v.ecu("secondary2", "Reachable")
    v.control("start", "secondary2")
    v.verb("CheckForUpdates")
    wait_for(lambda: everybody[1].serial in world.director.ecus and v.state() == "idle", "its registration")
    check(world)
    assert set(reports(world)) == {v.serial, everybody[0].serial, everybody[1].serial}
    assert not world.director.refused


def replace(world):
    """Another ECU at the place of the first Secondary: other serial, other key, no memory."""
    v = world.vehicle
    secondary = v.secondaries[0]
    v.control("stop", "secondary1")
    shutil.rmtree(os.path.join(secondary.folder, "state"))
    secondary.serial = "spare-part-1"
    secondary.prepare(v.path("roots"))
    v.control("start", "secondary1")
    return secondary


def test_another_ecu_in_the_place_of_a_secondary_is_an_attack_where_that_is_not_allowed(started):
    world, v = started, started.vehicle
    serial = v.secondaries[0].serial
    good = reports(world)[serial]
    replace(world)
    check(world)
    assert v.ecu("secondary1", "LastError")[0] == "org.uptane.Error.EcuReplaced"
    assert attacks(world).startswith("forged report: secondary1: ECU spare-part-1")
    assert reports(world)[serial] == good and list(cached(world)) == [serial]
    assert serial in world.director.ecus and world.director.registrations == 1
    assert v.ecu("secondary1", "Serial") == serial and not changes(world)


def test_a_replaced_secondary_is_registered_and_updated_where_that_is_allowed(noted):
    world, v = noted, noted.vehicle
    v.secondaries[0].primary_settings["replacement"] = "register"
    v.write_config()
    v.boot()
    v.wait_state("idle")
    world.update_firmware()
    old = v.secondaries[0].serial
    new = replace(world)
    os.unlink(new.firmware)
    world.director.clear()
    v.verb("CheckForUpdates")
    wait_for(lambda: new.serial in world.director.ecus and v.state() == "idle", lambda: "its registration; " + v.log("uptaned")[-2000:])
    check(world)
    assert set(world.director.ecus) == set(reports(world)) == {v.serial, new.serial}
    assert reports(world)[new.serial]["signed"]["installed_image"]["filepath"] == "unknown"
    assert changes(world) == ["secondary1: ECU %s: it has replaced the one before" % new.serial]
    assert not world.journal.attacks() and old not in world.director.ecus
    world.update_firmware()
    v.kill_daemon()
    v.wait_state("idle")
    assert v.ecu("secondary1", "Serial") == new.serial


@pytest.mark.world(secondaries=4, config="[update]\nparallel = 2\n")
def test_no_more_secondaries_are_connected_to_for_their_reports_than_are_allowed(world):
    lock, now, most = threading.Lock(), [0], [0]

    def slowly(request, answer):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.3)
        with lock:
            now[0] -= 1
        return answer
    between = [Between.join(world.vehicle, secondary) for secondary in world.vehicle.secondaries]
    for one in between:
        one.change = slowly
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    assert most == [2]
    assert set(reports(world)) == {world.vehicle.serial, *(s.serial for s in world.vehicle.secondaries)}
    for one in between:
        one.close()
