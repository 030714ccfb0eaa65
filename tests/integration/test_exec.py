# SPDX-License-Identifier: Apache-2.0
"""Secondaries that have a handler program, on a whole vehicle: with the handlers of docs/examples, and with some that fail."""
import hashlib
import os
import shutil

import pytest
from helpers_fixture import ROOT
from test_bad_input import Attention
from vehicle import wait_for

SERIAL = "vehicle-1-mcu;$(reboot)"  # T-59: text, wherever it goes
MCU = """[secondary mcu]
driver = exec
handler = @FOLDER@/handlers/handler
handler-option = @FOLDER@/memory
hardware-id = test-mcu
serial = %s
""" % SERIAL
COMPOSE = MCU.replace("/memory", "/project")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class ExecVehicle:
    """A world with one ECU that has a handler."""

    def __init__(self, world):
        self.world, self.vehicle, self.director = world, world.vehicle, world.director
        self.release = 1

    def put_handler(self, text, name="handler"):
        path = self.vehicle.path("handlers", name)
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def put_example(self, name):
        shutil.copy(ROOT / "docs/examples/handlers" / name, self.vehicle.path("handlers", "handler"))

    def assign(self, data, name=None):
        self.release += 1
        name = name or "mcu-%d.bin" % self.release
        entry = self.world.publish_firmware(name, data)
        self.correlation = self.director.assign([(*entry, SERIAL, "test-mcu", None)])
        return name

    def start(self):
        self.vehicle.boot()
        self.vehicle.wait_state("idle")

    def update(self, data, name=None):
        """A whole good update."""
        name = self.assign(data, name)
        self.vehicle.check()
        self.vehicle.wait_state("idle")
        assert self.vehicle.error() == ("", ""), self.vehicle.log("uptane-exec")[-2000:]
        assert self.director.installed(SERIAL) == (name, sha256(data))
        assert not self.director.refused
        return name

    def update_fails(self, data, error, text):
        """It is reported, and not tried again by itself."""
        self.assign(data)
        before = len(self.director.reports())
        self.vehicle.verb("CheckForUpdates")
        wait_for(lambda: len(self.director.reports()) > before, lambda: "a report; " + self.vehicle.log("uptaned")[-1500:], 60)
        self.vehicle.wait_state("idle")
        assert self.vehicle.error()[0] == error and text in self.vehicle.error()[1], self.vehicle.error()
        report = self.director.reports()[-1]
        assert report["correlation_id"] == self.correlation and not report["result"]["success"]
        assert text in report["items"][0]["result"]["description"] and report["items"][0]["result"]["code"] == "INSTALL_FAILED"
        installs = self.vehicle.log("uptane-exec").count("INSTALLING")
        self.vehicle.check()
        assert self.vehicle.log("uptane-exec").count("INSTALLING") == installs


@pytest.fixture
def car(world):
    return ExecVehicle(world)


# ---- flashing in blocks ----

@pytest.fixture
def mcu(car):
    """As it leaves the factory: with something in it that nobody has put there through us."""
    car.put_example("flash-blocks")
    car.memory = car.vehicle.path("memory")
    with open(car.memory, "wb") as f:
        f.write(b"factory!" * 100_000)
    car.content = lambda n: open(car.memory, "rb").read(n)
    return car


# Uptane 5.4.1 (3c), Uptane 5.4.2.1
@pytest.mark.world(secondaries=0, config=MCU)
def test_an_ecu_with_a_handler_is_registered_and_reports_with_a_key_of_its_own(mcu):
    mcu.start()
    v = mcu.vehicle
    assert set(mcu.director.ecus) == {v.serial, SERIAL}
    keys = [ecu["clientKey"]["keyval"]["public"] for ecu in mcu.director.ecus.values()]
    assert keys[0] != keys[1]
    assert oct(os.stat(v.path("state", "secondary-mcu.key")).st_mode & 0o777) == "0o600"
    assert mcu.director.installed(SERIAL)[0] == "unknown"
    assert v.ecu("mcu", "Driver") == "exec" and v.ecu("mcu", "Reachable") is True
    registrations = mcu.director.registrations
    v.kill_daemon()
    v.wait_state("idle")
    assert mcu.director.registrations == registrations  # the key survives, and the back-end is not asked again
    v.check()
    assert not mcu.director.refused


@pytest.mark.world(secondaries=0, config=MCU)
def test_an_mcu_is_flashed_in_blocks_and_reported_by_its_hash(mcu):
    mcu.start()
    for data in (b"one" * 10_000, b"shorter", b"three" * 5_001):
        mcu.update(data)
        assert mcu.content(len(data)) == data
        assert mcu.vehicle.ecu("mcu", "InstalledSha256") == sha256(data)
    assert os.path.getsize(mcu.memory) == 800_000  # nothing behind it was touched
    report = mcu.director.reports()[-1]
    assert report["result"]["success"] and report["items"][0]["ecu"] == SERIAL


@pytest.mark.world(secondaries=0, config=MCU)
def test_what_was_flashed_by_somebody_else_is_reported_as_it_is(mcu):
    mcu.start()
    name = mcu.update(b"ours" * 5000)
    with open(mcu.memory, "r+b") as f:
        f.write(b"hers")
    n = len(mcu.director.manifests)
    mcu.vehicle.check()
    image = mcu.director.manifests[n]["signed"]["ecu_version_manifests"][SERIAL]["signed"]["installed_image"]
    assert image["filepath"] == "unknown" and image["fileinfo"]["hashes"]["sha256"] == sha256(b"hers" + b"ours" * 4999)
    # it is still assigned: so it is put there again
    wait_for(lambda: mcu.director.installed(SERIAL) == (name, sha256(b"ours" * 5000)), "the repair", 60)
    assert mcu.content(20_000) == b"ours" * 5000


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_memory_that_does_not_keep_what_was_written_is_rolled_back(mcu):
    mcu.start()
    good = b"good" * 5_000
    mcu.update(good)
    real, broken = mcu.vehicle.path("handlers", "real"), mcu.vehicle.path("broken")
    os.rename(mcu.vehicle.path("handlers", "handler"), real)
    os.makedirs(broken)
    # a dd that spoils the third block, until it is asked to roll back
    with open(os.path.join(broken, "dd"), "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\n/bin/dd "$@" || exit\ncase "$UPTANE_ACTION $*" in "install "*of=%s*seek=2*) printf X | '
                "/bin/dd of=%s bs=1 seek=9000 conv=notrunc status=none;; esac\n" % (mcu.memory, mcu.memory))
    os.chmod(os.path.join(broken, "dd"), 0o755)
    mcu.put_handler('[ "$1" != install ] || echo INSTALLING >&2\nPATH=%s:$PATH exec %s "$@"\n' % (broken, real))
    mcu.update_fails(b"evil" * 5_000, "InstallFailed", "block 2 is not what was written")
    assert "rolled back" in mcu.vehicle.error()[1]
    assert mcu.content(len(good)) == good
    assert mcu.director.installed(SERIAL)[1] == sha256(good)
    os.unlink(os.path.join(broken, "dd"))
    mcu.update(b"well again" * 300)


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_power_cut_while_flashing_is_flashed_again(mcu):
    mcu.start()
    mcu.update(b"first" * 2_000)
    os.rename(mcu.vehicle.path("handlers", "handler"), mcu.vehicle.path("handlers", "real"))
    mark = mcu.vehicle.path("mark")
    mcu.put_handler('if [ "$1" = install ] && [ ! -e %s ]; then : > %s; printf garbage | dd of=%s conv=notrunc status=none; sleep 1000; fi\n'
                    'exec %s "$@"\n' % (mark, mark, mcu.memory, mcu.vehicle.path("handlers", "real")))
    data = b"second" * 2_000
    name = mcu.assign(data)
    mcu.vehicle.verb("CheckForUpdates")
    wait_for(lambda: os.path.exists(mark), "the installation")
    mcu.vehicle.power_cut()
    mcu.vehicle.boot()
    wait_for(lambda: mcu.director.installed(SERIAL) == (name, sha256(data)), lambda: mcu.vehicle.log("uptaned")[-1500:], 60)
    assert mcu.content(len(data)) == data


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_lost_key_is_not_replaced_by_another(mcu):
    mcu.start()
    v = mcu.vehicle
    os.unlink(v.path("state", "secondary-mcu.key"))
    v.kill_daemon(wait=False)
    wait_for(lambda: "secondary-mcu.key is gone, but this vehicle is registered with it" in v.log("uptaned"), lambda: v.log("uptaned")[-500:])
    assert not os.path.exists(v.path("state", "secondary-mcu.key"))


@pytest.mark.world(secondaries=0)
def test_an_ecu_that_comes_later_is_registered_with_the_others(mcu):
    v = mcu.vehicle
    mcu.start()
    assert set(mcu.director.ecus) == {v.serial}
    with open(v.path("uptaned.conf.d", "mcu.conf"), "w", encoding="utf-8") as f:
        f.write(MCU.replace("@FOLDER@", v.folder))
    v.kill_daemon()
    wait_for(lambda: set(mcu.director.ecus) == {v.serial, SERIAL}, lambda: v.log("uptaned")[-500:])
    v.wait_state("idle")
    mcu.update(b"new here")
    with open(v.path("uptaned.conf.d", "mcu.conf"), "a", encoding="utf-8") as f:
        f.write("hardware-id = test-mcu-b\n")
    n = mcu.director.registrations
    v.kill_daemon()
    wait_for(lambda: mcu.director.registrations > n, lambda: v.log("uptaned")[-500:])
    assert mcu.director.ecus[SERIAL]["hardware_identifier"] == "test-mcu-b"


@pytest.mark.world(secondaries=0, config=MCU.replace(SERIAL, "vehicle-1-primary"))
def test_two_ecus_of_one_serial_are_a_wrong_configuration(mcu):
    mcu.vehicle.boot(wait=False)
    wait_for(lambda: "serial vehicle-1-primary is that of primary" in mcu.vehicle.log("uptaned"), lambda: mcu.vehicle.log("uptaned"))


# ---- containers ----

DOCKER = """echo "$*" >> @FOLDER@/docker.log
while [ $# -gt 0 ]; do
        [ "$1" != --file ] || file=$2
        [ "$1" != config ] || ! grep -q nonsense "$file" || exit 15
        [ "$1" != pull ] || ! grep -q missing "$file" || exit 18
        [ "$1" != up ] || ! grep -q broken "$file" || exit 1
        [ "$1" != up ] || cp "$file" @FOLDER@/running
        shift
done
"""


@pytest.fixture
def containers(car):
    v = car.vehicle
    os.makedirs(v.path("mock"))
    with open(v.path("mock", "docker"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + DOCKER.replace("@FOLDER@", v.folder))
    os.chmod(v.path("mock", "docker"), 0o755)
    shutil.copy(ROOT / "docs/examples/handlers/docker-compose", v.path("handlers", "docker-compose"))
    car.put_handler('[ "$1" != install ] || echo INSTALLING >&2\nPATH=%s:$PATH exec %s "$@"\n' % (v.path("mock"), v.path("handlers", "docker-compose")))

    def running():
        with open(v.path("running"), "rb") as f:
            return f.read()
    car.running = running
    return car


@pytest.mark.world(secondaries=0, config=COMPOSE)
def test_a_compose_file_is_swapped_and_its_containers_started(containers):
    containers.start()
    containers.update(b"services: {a: {image: a@sha256:00}}\n", "compose-1.yml")
    assert containers.running() == b"services: {a: {image: a@sha256:00}}\n"
    containers.update(b"services: {b: {image: b@sha256:00}}\n", "compose-2.yml")
    assert containers.running() == b"services: {b: {image: b@sha256:00}}\n"
    with open(containers.vehicle.path("docker.log"), encoding="utf-8") as f:
        words = [line.split()[5] for line in f]
    assert words == ["config", "pull", "up"] * 2


@pytest.mark.world(secondaries=0, config=COMPOSE)
@pytest.mark.parametrize("content,text,touched", [
    (b"nonsense", "the image is no compose file", False), (b"missing", "its containers cannot be pulled", False),
    (b"broken", "its containers do not come up", True),
])
def test_containers_that_do_not_come_up_leave_the_old_ones(containers, content, text, touched):
    containers.start()
    good = b"services: {good: {image: good@sha256:00}}\n"
    containers.update(good)
    containers.update_fails(content, "InstallFailed", text)
    assert ("rolled back" in containers.vehicle.error()[1]) == touched
    assert containers.running() == good
    assert containers.director.installed(SERIAL)[1] == sha256(good)
    assert sorted(os.listdir(containers.vehicle.path("project"))) in (["docker-compose.yml"], ["docker-compose.yml", "docker-compose.yml.previous"])
    containers.update(b"services: {next: {image: next@sha256:00}}\n")


# ---- behind a reboot, and handlers that misbehave ----

# A handler that keeps the image aside until it is told to complete, and a record of what it was asked.
LATE = """
S=$STATE_DIRECTORY
echo "$1" >> $S/actions
case $1 in
get-firmware-info) [ -e $S/current ] || exit 65
        echo '{"status":"ok","sha256":"'$(sha256sum < $S/current | cut -c1-64)'"}' ;;
install) echo INSTALLING >&2; cat "$UPTANE_IMAGE_PATH" > $S/next; echo '{"status":"need-completion"}' ;;
complete-install) grep -q broken $S/next && { echo '{"status":"failed","message":"it does not start"}'; exit 1; }
        mv $S/next $S/current; echo '{"status":"ok"}' ;;
rollback) rm -f $S/next; echo '{"status":"ok"}' ;;
esac
"""


def actions(car):
    with open(car.vehicle.path("exec-state", "actions"), encoding="utf-8") as f:
        return [line for line in f.read().split() if line != "get-firmware-info"]


@pytest.mark.world(secondaries=0, config=MCU)
def test_an_installation_is_completed_behind_a_reboot(car):
    car.put_handler(LATE)
    car.start()
    name = car.assign(b"late" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    assert actions(car) == ["install"]
    # it was verified when it was installed: what expires meanwhile does not stop it
    from backend.repository import after
    for repository in (car.director.repository, car.world.backend.image):
        repository.expires["timestamp"] = after(seconds=-10)
    car.vehicle.boot()
    wait_for(lambda: car.director.installed(SERIAL) == (name, sha256(b"late" * 1000)), lambda: car.vehicle.log("uptaned")[-1500:], 60)
    assert actions(car) == ["install", "complete-install"]
    assert car.director.reports()[-1]["result"]["success"]


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_daemon_that_restarts_completes_nothing(car):
    car.put_handler(LATE)
    with open(car.vehicle.path("uptaned.conf.d", "ask.conf"), "w", encoding="utf-8") as f:
        f.write("[update]\nconsent-reboot = ask\n")
    car.start()
    name = car.assign(b"late" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_state("reboot-required")
    car.vehicle.kill_daemon()
    car.vehicle.wait_state("reboot-required")
    assert actions(car) == ["install"]
    car.vehicle.verb("Reboot")
    car.vehicle.wait_reboot()
    car.vehicle.boot()
    wait_for(lambda: car.director.installed(SERIAL) == (name, sha256(b"late" * 1000)), lambda: car.vehicle.log("uptaned")[-1500:], 60)
    assert actions(car) == ["install", "complete-install"]


@pytest.mark.world(secondaries=0, config=MCU)
def test_an_installation_that_cannot_be_completed_is_rolled_back_and_reported(car):
    car.put_handler(LATE)
    car.start()
    car.assign(b"broken" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    car.vehicle.boot()
    wait_for(car.director.reports, lambda: "a report; " + car.vehicle.log("uptaned")[-1500:], 60)
    car.vehicle.wait_state("idle")
    assert actions(car) == ["install", "complete-install", "rollback"]
    assert "it does not start" in car.vehicle.error()[1]
    car.vehicle.check()
    assert actions(car) == ["install", "complete-install", "rollback"]
    # a note about what waits for a reboot must not be left: the next one is installed, not completed
    car.assign(b"fine")
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    car.vehicle.boot()
    wait_for(lambda: car.director.installed(SERIAL)[1] == sha256(b"fine"), lambda: car.vehicle.log("uptaned")[-1500:], 60)


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_whole_vehicle_with_one_reboot_for_both(car):
    car.put_handler(LATE)
    car.start()
    firmware = car.world.publish_firmware("late.bin", b"late" * 1000)
    commit = car.world.publish_commit("2")
    car.director.assign([(*firmware, SERIAL, "test-mcu", None), (*commit, car.vehicle.serial, car.vehicle.HARDWARE_ID, None)])
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    car.vehicle.boot()
    assert car.vehicle.booted_commit == car.world.images.commit("2")
    wait_for(lambda: car.director.installed(SERIAL) == ("late.bin", sha256(b"late" * 1000)), lambda: car.vehicle.log("uptaned")[-1500:], 60)
    assert car.director.installed(car.vehicle.serial) == ("os-2", car.world.images.commit("2"))
    assert car.vehicle.boots == 2


BAD = [
    ("exit 3", "InstallFailed", "exit code 3"),
    ("kill -SEGV $$", "Handler", "signal 11"),
    ("cat /dev/zero", "Handler", "more than 65536 bytes"),
    ("echo done", "Handler", "its answer"),
    ("setsid sleep 1000 & sleep 1000", "Handler", "did not end within 2 s"),
    ("exit 65", "Handler", "does not install"),
    ("""echo '{"status":"ok"}'""", "InstallFailed", "is not what runs"),
]


@pytest.mark.world(secondaries=0, config=MCU + "[timeouts]\ninstall = 2\n")
@pytest.mark.parametrize("script,error,text", BAD)
def test_a_handler_that_misbehaves_is_an_error_and_told_to_roll_back(car, script, error, text):
    """The daemon answers all the time, and the next update works."""
    good = LATE.replace("next; echo '{\"status\":\"need-completion\"}'", "current; echo '{\"status\":\"ok\"}'")
    car.put_handler(good)
    car.start()
    car.update(b"good")
    car.put_handler(good.replace('cat "$UPTANE_IMAGE_PATH" > $S/current; echo \'{"status":"ok"}\'', script))
    attention = Attention(car.vehicle)
    car.update_fails(b"better", error, text)
    attention.check()
    assert "rolled back" in car.vehicle.error()[1] and actions(car)[-1] == "rollback"
    assert car.director.installed(SERIAL)[1] == sha256(b"good")
    car.put_handler(good)
    car.update(b"best")


@pytest.mark.world(secondaries=0, config=MCU)
def test_a_daemon_that_ends_stops_the_handler_and_starts_it_again(car):
    mark = car.vehicle.path("mark")
    good = LATE.replace("next; echo '{\"status\":\"need-completion\"}'", "current; echo '{\"status\":\"ok\"}'")
    car.put_handler('if [ "$1" = install ] && [ ! -e %s ]; then echo $$ > %s.new; mv %s.new %s; sleep 1000; fi\n%s' % (mark, mark, mark, mark, good))
    car.start()
    name = car.assign(b"again")
    car.vehicle.verb("CheckForUpdates")
    wait_for(lambda: os.path.exists(mark), "the installation")
    car.vehicle.kill_daemon()
    wait_for(lambda: car.director.installed(SERIAL) == (name, sha256(b"again")), lambda: car.vehicle.log("uptaned")[-1500:], 60)
    assert "nobody waits for it any more" in car.vehicle.log("uptane-exec")
    assert actions(car) == ["install"]  # the second; the first never got that far


# T-59
@pytest.mark.world(secondaries=0, config=MCU)
def test_t59_a_handler_others_can_write_is_refused_and_the_ecu_shown_as_unreachable(car):
    car.put_handler("echo $1 >> %s\nexit 65\n" % car.vehicle.path("ran"))
    os.chmod(car.vehicle.path("handlers", "handler"), 0o777)
    car.start()
    v = car.vehicle
    assert v.ecu("mcu", "Reachable") is False
    assert v.ecu("mcu", "LastError")[0] == "org.uptane.Error.Handler" and "written by others" in v.ecu("mcu", "LastError")[1]
    assert v.state() == "idle" and SERIAL not in car.director.manifests[-1]["signed"]["ecu_version_manifests"]
    assert not os.path.exists(v.path("ran"))
    os.chmod(v.path("handlers", "handler"), 0o755)
    v.check()
    assert v.ecu("mcu", "Reachable") is True


@pytest.mark.world(secondaries=0, config=MCU)
def test_an_image_that_was_changed_on_disk_is_not_handed_over(car):
    """T-44: it is hashed once more, and the descriptor that was hashed is what the handler gets."""
    good = LATE.replace("next; echo '{\"status\":\"need-completion\"}'", "current; echo '{\"status\":\"ok\"}'")
    car.put_handler(good)
    with open(car.vehicle.path("uptaned.conf.d", "ask.conf"), "w", encoding="utf-8") as f:
        f.write("[update]\nconsent-install = ask\n")
    car.start()
    name = car.assign(b"good image" * 100)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_state("awaiting-consent")
    with open(car.vehicle.path("state", "images", sha256(b"good image" * 100)), "r+b") as f:
        f.write(b"evil")
    update = car.vehicle.property("Update")["Id"]
    car.vehicle.verb("Approve", "(ss)", (update, "install"))
    wait_for(lambda: car.vehicle.error()[0] == "ImageMismatch", lambda: "the error; %s" % (car.vehicle.error(),))
    assert not os.path.exists(car.vehicle.path("exec-state", "current"))
    car.vehicle.check()
    wait_for(lambda: car.director.installed(SERIAL) == (name, sha256(b"good image" * 100)), lambda: car.vehicle.log("uptaned")[-1500:], 60)
