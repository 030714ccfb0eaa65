# SPDX-License-Identifier: Apache-2.0
"""The good road: registration, nothing to do, one update of the whole vehicle, and what survives kill -9 and power cuts."""
import calendar
import fcntl
import glob
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time

import images as ostree
import pytest
from der import files, parse, roles, split
from gi.repository import Gio, GLib
from tap import Tap
from vehicle import Secondary, free_port, wait_for


def start(world):
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    return world.vehicle


def hurry(vehicle):
    """An attempt that failed because of a kill is made again by itself, after a pause; this takes the pause away."""
    try:
        if vehicle.state() == "idle":
            vehicle.call("CheckForUpdates")
    except GLib.Error:
        pass  # between two lives, or rebooting


def finish_reboot(vehicle, patient=True):
    if not patient:
        def down():
            hurry(vehicle)
            return vehicle.process.poll() is not None
        wait_for(down, lambda: "reboot; " + vehicle.log("uptaned")[-1500:], 90, pause=0.5)
    vehicle.wait_reboot()
    vehicle.boot()
    vehicle.wait_state("idle")


# Uptane 5.4.1 (3a), Uptane 5.4.2 (1, a), Uptane 5.4.2.1.1 (i)
def test_both_ecus_are_registered_and_a_poll_without_assignment_finds_nothing(world):
    v = start(world)
    assert world.director.primary == v.serial
    assert set(world.director.ecus) == {v.serial, v.secondaries[0].serial}
    assert v.property("Provisioned") is True
    assert v.error() == ("", "")
    assert world.director.manifests and not world.director.refused
    reports = world.director.manifests[-1]["signed"]["ecu_version_manifests"]
    assert set(reports) == {v.serial, v.secondaries[0].serial}
    assert world.director.installed(v.serial)[1] == v.factory_commit
    # the Image repository is not asked where nothing is assigned
    assert not world.backend.requests("^/repo/")


def write_factory_image(world, commit):
    with open(world.vehicle.path("factory.json"), "w", encoding="utf-8") as f:
        json.dump({"filepath": "os-factory", "fileinfo": {"length": 12, "hashes": {"sha256": commit}}}, f)


@pytest.mark.world(secondaries=0, config="[paths]\nfactory-image = @FOLDER@/factory.json\n")
def test_the_image_of_the_factory_is_named_in_the_first_manifest(world):
    write_factory_image(world, world.vehicle.factory_commit)
    v = start(world)
    image = world.director.manifests[0]["signed"]["ecu_version_manifests"][v.serial]["signed"]["installed_image"]
    assert image == {"filepath": "os-factory", "fileinfo": {"length": 12, "hashes": {"sha256": v.factory_commit}}}
    assert v.ecu("primary", "InstalledImage") == "os-factory"
    # what is installed later is named by the Director, and the file does not matter any more
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    v.boot()
    v.wait_state("idle")
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert "factory" not in v.log("uptaned")


@pytest.mark.world(secondaries=0, config="[paths]\nfactory-image = @FOLDER@/factory.json\n")
@pytest.mark.parametrize("content", ["other", "nonsense"])
def test_a_factory_image_that_is_not_what_is_booted_is_not_believed(world, content):
    write_factory_image(world, "5" * 64)
    if content == "nonsense":
        with open(world.vehicle.path("factory.json"), "w", encoding="utf-8") as f:
            f.write("{")
    v = start(world)
    image = world.director.manifests[0]["signed"]["ecu_version_manifests"][v.serial]["signed"]["installed_image"]
    assert (image["filepath"], image["fileinfo"]["hashes"]["sha256"]) == ("unknown", v.factory_commit)
    assert "factory.json is not believed: " in v.log("uptaned")
    assert v.error() == ("", "") and world.director.manifests[-1]["signed"]["ecu_version_manifests"][v.serial]["signed"]["attacks_detected"] == ""


# Uptane 5.4.2 (3)
def test_a_poll_that_finds_nothing_uses_one_connection(world):
    v = start(world)
    world.backend.log.clear()
    v.check()
    requests = world.backend.requests()
    assert len({r["connection"] for r in requests}) == 1
    # Timestamp says that Snapshot and Targets are the ones already there (Uptane 5.4.4.2 (4a))
    assert [r["path"].split("/")[-1] for r in requests] == ["manifest", "2.root.json", "timestamp.json"]


# Uptane 5.4.2 (4, 6, 7), Uptane 5.4.2.1, Uptane 5.4.2.4 (a, b), Uptane 5.4.2.6 (a), Uptane 5.4.2.7 (a), Uptane 5.4.3 (5), Uptane 5.4.3.5 (a),
# Uptane 5.4.3.6 (a)
def test_one_update_of_the_whole_vehicle_ends_in_a_signed_report_of_both_ecus(world):
    v = start(world)
    data = b"firmware two\n" * 5000
    correlation = world.assign(world.publish_commit("2"), world.publish_firmware("mcu-2.bin", data))
    v.call("CheckForUpdates")
    v.wait_reboot()
    assert v.secondaries[0].content() == data
    v.boot()
    assert v.booted_commit == world.images.commit("2")
    v.wait_state("idle")
    assert not world.director.refused
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert world.director.installed(v.secondaries[0].serial) == ("mcu-2.bin", hashlib.sha256(data).hexdigest())
    report = world.director.reports()[-1]
    assert report["correlation_id"] == correlation
    assert report["result"]["success"] and report["result"]["code"] == "OK"
    assert {item["ecu"] for item in report["items"]} == {v.serial, v.secondaries[0].serial}
    assert v.ecu("primary", "InstalledImage") == "os-2"
    assert v.ecu("secondary1", "InstalledImage") == "mcu-2.bin"
    history = v.call("GetHistory", "(u)", (10,))[0]
    assert len(history) == 1 and history[0]["Result"] == "OK" and history[0]["Update"] == correlation
    assert {e["ecu"] for e in json.loads(history[0]["Details"])} == {v.serial, v.secondaries[0].serial}
    # nothing is done twice, nor is the Image repository asked where all is installed (Uptane 5.4.4.2 (6a))
    world.backend.log.clear()
    v.check()
    assert v.state() == "idle" and v.error() == ("", "")
    assert not world.backend.requests("^/repo/")


def test_the_command_line_shows_state_and_ecus(world):
    v = start(world)
    world.update_firmware()
    out = v.ctl("status")
    assert out.returncode == 0, out.stderr
    for text in ("idle", v.serial, v.secondaries[0].serial, "good-2.bin", "registered"):
        assert text in out.stdout
    status = json.loads(v.ctl("--json", "status").stdout)
    assert status["State"] == "idle" and status["Provisioned"] is True
    assert v.ctl("reboot").returncode == 74  # WrongState
    assert v.ctl("nonsense").returncode == 2


def test_rotated_keys_of_every_role_are_followed_by_primary_and_secondary(world):
    v = start(world)
    world.update_firmware()
    for repository in (world.director.repository, world.backend.image):
        repository.rotate("root")
        repository.rotate("timestamp", "snapshot", "targets", type="rsa")
        repository.rotate("root", "targets", type="ecdsa")
    world.update_firmware()
    assert v.error() == ("", "")


@pytest.mark.world(director={"keys_per_role": 3, "thresholds": {"root": 2, "targets": 2, "timestamp": 2, "snapshot": 3}},
                   image={"keys_per_role": 2, "thresholds": {"root": 2, "targets": 2}, "key_types": {"root": "rsa", "targets": "ecdsa"}})
def test_thresholds_of_several_keys_and_all_key_types_verify(world):
    start(world)
    world.update_firmware()


# Uptane 5.4.3.3 (3)
def test_an_image_is_fetched_from_its_uri_without_the_device_certificate(world):
    v = start(world)
    data = b"elsewhere" * 1000
    name, entry = world.publish_firmware("elsewhere.bin", data, served=b"not this one")
    world.backend.open_files["elsewhere"] = data
    world.director.assign([(name, entry, v.secondaries[0].serial, "test-mcu", world.backend.url + "/open/elsewhere")])
    v.check()
    v.wait_state("idle")
    assert v.secondaries[0].content() == data


def test_a_broken_off_download_goes_on_where_it_stopped(world):
    v = start(world)
    data = bytes(range(256)) * 4000
    world.assign(firmware=world.publish_firmware("big.bin", data))
    world.backend.faults.add("/repo/targets/big.bin", "cutoff", 300000, times=1)
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0], "an error")
    assert v.error()[0] == "Network"
    assert v.secondaries[0].content() is None
    world.backend.log.clear()
    v.check()
    v.wait_state("idle")
    assert v.secondaries[0].content() == data
    assert 0 < sum(r["sent"] for r in world.backend.requests("targets/big.bin")) < len(data)


# Uptane 5.4.3.3 (b)
@pytest.mark.world(config="[update]\nconsent-install = ask\n")
def test_an_image_that_is_there_is_not_fetched_again(world):
    v = start(world)
    data = b"once" * 1000
    update = world.assign(firmware=world.publish_firmware("once.bin", data))

    def is_asked():
        return v.state() == "awaiting-consent" and v.property("Update").get("Stage") == "install"
    v.call("CheckForUpdates")
    wait_for(is_asked, "the question")
    v.kill_daemon()
    wait_for(is_asked, "the question again")
    v.verb("Approve", "(ss)", (update, "install"))
    v.wait_state("idle")
    assert v.secondaries[0].content() == data
    assert len(world.backend.requests("targets/once.bin")) == 1


# Uptane 5.4.3.3 (4d): what was fetched is verified then, not only before it is installed
@pytest.mark.world(config="[update]\nconsent-install = ask\n")
def test_nobody_is_asked_to_install_an_image_that_is_not_what_was_signed(world):
    v = start(world)
    world.assign(firmware=world.publish_firmware("wrong.bin", b"signed" * 1000, served=b"served" * 1000))
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] or v.property("Update").get("Stage") == "install", "the end of the download")
    assert v.error()[0] == "ImageMismatch" and v.state() == "idle"


# Uptane 5.4.3.5 (b)
@pytest.mark.world(config="[update]\nconsent-download = ask\nconsent-install = ask\nconsent-reboot = ask\n")
def test_nothing_is_done_without_the_consent_that_was_asked_for(world):
    v = start(world)
    data = b"with consent" * 100
    update = world.assign(world.publish_commit("3"), world.publish_firmware("consent.bin", data))
    v.check()
    assert v.state() == "awaiting-consent" and v.property("Update")["Stage"] == "download"
    assert not world.backend.requests("targets/|objects/")
    assert v.ctl("approve", "download").returncode == 0
    wait_for(lambda: v.property("Update").get("Stage") == "install", "the question for install")
    assert v.secondaries[0].content() is None
    assert len(ostree.deployments(v.sysroot)) == 1
    v.kill_daemon()  # the question survives a crash
    wait_for(lambda: v.property("Update").get("Stage") == "install" and v.state() == "awaiting-consent", "the question again")
    v.verb("Approve", "(ss)", (update, "install"))
    v.wait_state("reboot-required")
    assert v.secondaries[0].content() == data
    assert v.property("Update")["Stage"] == "reboot"
    v.call("Approve", "(ss)", (update, "reboot"))
    finish_reboot(v)
    assert world.director.reports()[-1]["result"]["success"]


# T-25
@pytest.mark.world(config="[update]\nconsent-download = ask\n")
def test_an_offer_the_director_withdraws_is_gone_and_its_consent_with_it(world):
    v = start(world)
    world.assign(firmware=world.publish_firmware("offer.bin", b"offer"))
    v.check()
    assert v.state() == "awaiting-consent"
    world.director.clear()
    v.call("CheckForUpdates")
    v.wait_state("idle")
    assert v.property("Update") == {}
    assert v.ctl("approve", "download").returncode == 75  # NoSuchUpdate


def wait_question(v, stage, update):
    wait_for(lambda: v.state() == "awaiting-consent" and (v.property("Update")["Stage"], v.property("Update")["Id"]) == (stage, update),
             lambda: "the question for %s; %s, %s" % (stage, v.state(), v.error()))


# T-25: also where it is downloaded already
@pytest.mark.world(config="[update]\nconsent-install = ask\n")
def test_a_downloaded_update_the_director_withdraws_is_not_installed(world):
    v = start(world)
    update = world.assign(firmware=world.publish_firmware("offer.bin", b"offer"))
    v.check()
    wait_question(v, "install", update)
    assert os.listdir(v.path("state", "images"))
    world.director.clear()
    v.call("CheckForUpdates")
    v.wait_state("idle")
    assert v.property("Update") == {} and v.error() == ("", "")
    assert error_name(v.call, "Approve", "(ss)", (update, "install")) == "org.uptane.Error.NoSuchUpdate"
    v.kill_daemon()
    v.wait_state("idle")
    assert error_name(v.verb, "Approve", "(ss)", (update, "install")) == "org.uptane.Error.NoSuchUpdate"
    assert v.secondaries[0].content() is None and not os.listdir(v.path("state", "images"))
    again = world.assign(firmware=world.publish_firmware("offer.bin", b"offer"))
    v.check()
    wait_question(v, "install", again)
    v.call("Approve", "(ss)", (again, "install"))
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"offer", "the installation")


# T-25, T-56: a superseded offer
@pytest.mark.world(config="[update]\nconsent-download = ask\nconsent-install = ask\n")
@pytest.mark.parametrize("stage", ["download", "install"])
@pytest.mark.parametrize("same_id", [False, True])
def test_consent_to_an_offer_is_none_to_the_one_that_takes_its_place(world, stage, same_id):
    v = start(world)
    first = world.assign(firmware=world.publish_firmware("first.bin", b"first"))
    v.check()
    wait_question(v, "download", first)
    if stage == "install":
        v.call("Approve", "(ss)", (first, "download"))
        wait_question(v, "install", first)
    second = world.assign(firmware=world.publish_firmware("second.bin", b"second"))
    if same_id:
        world.director.repository.custom["correlationId"], second = first, first
        world.director.repository.publish()
    v.check()
    wait_question(v, "download", second)
    assert [e["Image"] for e in v.property("Update")["Ecus"]] == ["second.bin"]
    if not same_id:
        assert error_name(v.call, "Approve", "(ss)", (first, stage)) == "org.uptane.Error.NoSuchUpdate"
        wait_question(v, "download", second)
    assert not world.backend.requests("targets/second.bin")
    for question in ("download", "install"):
        wait_question(v, question, second)
        assert v.secondaries[0].content() is None
        v.call("Approve", "(ss)", (second, question))
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"second", lambda: "the installation; %s" % (v.error(),))
    assert bool(world.backend.requests("targets/first.bin")) == (stage == "install")


def test_a_declined_update_is_reported_and_not_tried_again(world):
    v = start(world)
    v.call("Pause")
    assert v.state() == "paused"
    world.backend.faults.add("targets/declined.bin", "stall")
    update = world.assign(firmware=world.publish_firmware("declined.bin", b"declined"))
    v.call("Resume")
    v.wait_state("downloading")
    v.call("Decline", "(ss)", (update, "not today"))
    v.wait_state("idle")
    world.backend.faults.clear()
    report = world.director.reports()[-1]
    assert not report["result"]["success"] and "OPERATION_CANCELLED" in report["result"]["code"]
    v.check()
    assert v.state() == "idle" and v.secondaries[0].content() is None


STATES = ["checking", "downloading", "installing", "reboot-required", "finalizing", "reporting"]


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_an_update_completes_whenever_the_daemon_is_killed(world, pause):
    v = start(world)
    data = b"killed" * 50000
    world.assign(world.publish_commit("2"), world.publish_firmware("killed.bin", data))
    v.call("CheckForUpdates")
    deadline = time.monotonic() + 60
    kills = 0
    while v.process.poll() is None and kills < 6 and time.monotonic() < deadline:
        time.sleep(pause)  # not for luck: the moments of the kills are what is varied here
        try:
            v.control("kill", "uptaned", 9)
        except (AssertionError, OSError):
            continue  # between two lives, or already rebooting
        kills += 1
    finish_reboot(v, patient=False)
    assert not world.director.refused
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert v.secondaries[0].content() == data
    assert [r["result"]["success"] for r in world.director.reports()] == [True]


def test_an_update_completes_where_the_daemon_died_while_its_helper_was_installing(world):
    """The helper it had asked goes on; the one that the next life asks waits for it."""
    v = start(world)
    lock = os.open(os.path.join(v.sysroot, "ostree/lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(lock, fcntl.LOCK_EX)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("installing")
    v.kill_daemon()
    v.wait_state("installing")
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert v.state() == "installing"  # an attempt that failed because of the other one would count against the update
        time.sleep(0.05)
    os.close(lock)
    finish_reboot(v)
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert [r["result"]["success"] for r in world.director.reports()] == [True]


@pytest.mark.parametrize("state", STATES[1:4])
def test_an_update_completes_after_a_power_cut(world, state):
    v = start(world)
    data = b"power" * 50000
    world.assign(world.publish_commit("2"), world.publish_firmware("power.bin", data))
    open(v.path("reboot-refused"), "w").close()
    v.call("CheckForUpdates")
    wait_for(lambda: STATES.index(v.state()) >= STATES.index(state) if v.state() in STATES else False, "state " + state)
    v.power_cut()
    os.unlink(v.path("reboot-refused"))
    v.boot()
    done = ("os-2", world.images.commit("2"))
    wait_for(lambda: v.process.poll() is not None or world.director.installed(v.serial) == done or hurry(v),
             lambda: "the end of the update; " + v.log("uptaned")[-1500:], 90, pause=0.3)
    if v.process.poll() is not None:
        finish_reboot(v)
    assert world.director.installed(v.serial) == done
    assert v.secondaries[0].content() == data
    assert v.booted_commit == world.images.commit("2")


# Uptane 5.4.2 (5), Uptane 5.4.2.5: where it takes it
@pytest.mark.world(secondaries=2)
def test_a_secondary_that_takes_the_time_is_sent_it_and_another_is_not(world):
    v = world.vehicle
    taps = [Tap(s.port) for s in v.secondaries]
    for secondary, tap in zip(v.secondaries, taps):
        secondary.primary_settings["address"] = tap.address
    v.secondaries[0].primary_settings["send-time"] = "yes"
    v.write_config()
    start(world)
    before = int(time.time())
    name, target = world.publish_firmware("mcu.bin", b"one\n" * 1000)
    world.director.assign([(name, target, s.serial, s.hardware_id, None) for s in v.secondaries])
    v.check()
    v.wait_state("idle")
    assert v.error() == ("", "") and all(s.content() == b"one\n" * 1000 for s in v.secondaries)
    sent = []
    for tap in taps:
        tap.close()
        [director] = [fields[1] for kind, fields in (parse(m) for said in tap.said for m in split(bytes(said))) if kind == 14]
        sent.append(dict(files(director)))
    assert [*sent[0]] == [*sent[1], "time"]
    assert before <= calendar.timegm(time.strptime(sent[0]["time"].decode(), "%Y-%m-%dT%H:%M:%SZ")) <= time.time()


# Uptane 5.4.3 (6), Uptane 5.4.2.6 (c)
@pytest.mark.world(secondaries=2, partial=["secondary2"])
def test_a_partial_secondary_beside_a_full_one_is_sent_the_directors_part_only(world):
    v = world.vehicle
    full, small = v.secondaries
    tap = Tap(small.port)
    small.primary_settings["address"] = tap.address
    v.write_config()
    start(world)
    world.director.repository.rotate("targets")
    for n, data in enumerate((b"one\n" * 1000, b"two\n" * 1000)):
        name, target = world.publish_firmware("mcu-%d.bin" % n, data)
        world.director.assign([(name, target, s.serial, s.hardware_id, None) for s in (full, small)])
        v.check()
        v.wait_state("idle")
        assert v.error() == ("", "")
        assert full.content() == small.content() == data
        assert world.director.installed(small.serial) == (name, hashlib.sha256(data).hexdigest())
    tap.close()
    messages = [parse(m) for said in tap.said for m in split(bytes(said))]
    assert [fields[0] for kind, fields in messages if kind == 19] == [b"\0"] * 2, "asked for its Director's Root only"
    assert [fields[0] for kind, fields in messages if kind == 21] == [b"\0"], "the one Root that it lacked"
    metadata = [fields for kind, fields in messages if kind == 14]
    assert len(metadata) == 2
    for image, director in metadata:
        assert image == b"" and roles(director) == ["targets"]


@pytest.mark.world(secondaries=0)
def test_a_secondary_that_starts_after_the_vehicle_announces_itself_and_is_registered_at_once(world):
    v = world.vehicle
    late = Secondary(v, "late", "test-mcu", {})
    waiting = free_port()
    late.settings = {"primary": "127.0.0.1:%d" % waiting}
    late.prepare(v.path("roots"))
    with open(v.path("uptaned.conf.d", "late.conf"), "w", encoding="utf-8") as f:
        f.write("[primary]\nsecondaries-listen = 127.0.0.1:%d\n[secondary late]\naddress = %s\n" % (waiting, late.address()))
    v.boot()

    def waits():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", waiting)) == 0
    wait_for(waits, lambda: "the Primary waiting; " + v.log("uptaned")[-800:])
    assert v.property("Provisioned") is False
    process = subprocess.Popen([os.path.join(v.build, "daemon/secondary/uptane-secondary"), "--config", late.config])
    try:
        wait_for(lambda: v.property("Provisioned"), lambda: "registration; " + v.log("uptaned")[-800:], 15)
        assert set(world.director.ecus) == {v.serial, late.serial}
    finally:
        process.terminate()
        process.wait()


def test_a_fallback_of_the_boot_loader_is_reported_once_and_not_tried_again(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    v.boot(deployment=1)
    v.wait_state("idle")
    assert world.director.installed(v.serial)[1] == v.factory_commit
    report = world.director.reports()[-1]
    assert not report["result"]["success"] and "INSTALL_FAILED" in report["result"]["code"]
    count = len(world.director.reports())
    v.check()
    assert v.state() == "idle"
    assert len(world.director.reports()) == count


def test_a_director_that_takes_done_assignments_back_sees_one_update_and_then_nothing(world):
    v = start(world)
    world.director.closes = True
    correlation = world.assign(world.publish_commit("2"), world.publish_firmware("closed.bin", b"closed" * 100))
    v.call("CheckForUpdates")
    finish_reboot(v)
    assert [(r["correlation_id"], r["result"]["code"]) for r in world.director.reports()] == [(correlation, "OK")]
    assert world.director.repository.targets == {} and not world.director.refused
    v.check()
    assert v.state() == "idle" and v.error() == ("", "") and v.property("Update") == {}


def test_a_director_that_gives_up_a_failed_update_is_not_asked_for_it_again(world):
    v = start(world)
    world.director.closes = True
    world.assign(firmware=world.publish_firmware("declined.bin", b"declined"))
    world.backend.faults.add("targets/declined.bin", "stall")
    v.call("CheckForUpdates")
    v.wait_state("downloading")
    v.call("Decline", "(ss)", (v.property("Update")["Id"], "no"))
    v.wait_state("idle")
    world.backend.faults.clear()
    wait_for(lambda: world.director.repository.targets == {}, "the Director takes it back")
    world.update_firmware()
    assert v.error() == ("", "")


def error_name(function, *arguments):
    with pytest.raises(GLib.Error) as caught:
        function(*arguments)
    return Gio.DBusError.get_remote_error(caught.value)


def test_verbs_that_make_no_sense_now_say_so(world):
    v = start(world)
    assert error_name(v.call, "Approve", "(ss)", ("no such update", "install")) == "org.uptane.Error.NoSuchUpdate"
    assert error_name(v.call, "Approve", "(ss)", ("x", "no such stage")) == "org.uptane.Error.InvalidArgument"
    assert error_name(v.call, "Resume") == "org.uptane.Error.WrongState"
    assert v.state() == "idle"


def test_a_stranger_may_read_but_not_act(world):
    v = start(world)
    os.chmod(world.folder, 0o711)
    os.chmod(v.folder, 0o711)
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=" + v.path("bus"))

    def as_stranger(*arguments):
        program = shutil.copy(os.path.join(v.build, "daemon/uptanectl/uptanectl"), v.path("uptanectl"))
        os.chmod(program, 0o755)
        return subprocess.run([*stranger, program, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert "idle" in as_stranger("status").stdout
    world.backend.log.clear()
    for verb in (["check"], ["pause"], ["reboot"], ["cancel"]):
        result = as_stranger(*verb)
        assert result.returncode == 77, result  # AccessDenied
    assert v.state() == "idle" and not world.backend.requests()


def kernel_arguments(vehicle):
    """Of every boot entry, what is no word of libostree's."""
    result = []
    for entry in sorted(glob.glob(os.path.join(vehicle.sysroot, "boot/loader/entries/*.conf"))):
        with open(entry, encoding="utf-8") as f:
            line = next(line for line in f if line.startswith("options "))
        result.append([word for word in line.split()[1:] if not word.startswith("ostree=")])
    return result


@pytest.mark.world(secondaries=0, config="[ostree]\nkernel-arguments = isolcpus=* console=tty*\n")
def test_kernel_arguments_of_the_director_come_with_the_new_deployment(world):
    v = start(world)
    world.assign(world.publish_commit("2", kernelArguments=["isolcpus=1-2", "console=tty1"]))
    v.call("CheckForUpdates")
    finish_reboot(v)
    assert v.booted_commit == world.images.commit("2") and v.error() == ("", "")
    assert ["root=LABEL=root", "isolcpus=1-2", "console=tty1"] in kernel_arguments(v)
    world.assign(world.publish_commit("3"))
    v.call("CheckForUpdates")
    finish_reboot(v)
    assert kernel_arguments(v) == [["root=LABEL=root", "isolcpus=1-2", "console=tty1"]] * 2  # carried over


@pytest.mark.world(secondaries=0, config="[ostree]\nkernel-arguments = *\n")
@pytest.mark.parametrize("argument", ["init=/bin/sh", "systemd.unit=rescue.target"])
def test_a_kernel_argument_that_the_vehicle_refuses_ends_the_update_before_the_download(world, argument):
    v = start(world)
    world.assign(world.publish_commit("2", kernelArguments=["isolcpus=1", argument]))
    world.backend.log.clear()
    v.check()
    v.wait_state("idle")
    assert v.error()[0].endswith("KernelArgument") and argument in v.error()[1]
    assert not world.backend.requests("^/treehub/")
    assert kernel_arguments(v) == [["root=LABEL=root"]]
    world.assign(world.publish_commit("3"))
    v.call("CheckForUpdates")
    finish_reboot(v)
    assert v.booted_commit == world.images.commit("3")


@pytest.mark.world(secondaries=0)
def test_without_a_policy_no_kernel_argument_is_changed(world):
    v = start(world)
    world.assign(world.publish_commit("2", kernelArguments=["quiet"]))
    v.check()
    v.wait_state("idle")
    assert v.error()[0].endswith("KernelArgument") and "'quiet'" in v.error()[1]
    assert kernel_arguments(v) == [["root=LABEL=root"]]
