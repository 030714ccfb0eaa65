# SPDX-License-Identifier: Apache-2.0
"""A Secondary that installs by a handler program behind uptane-exec: what it says it runs is what the handler says, whatever happened."""
import hashlib
import os
import subprocess
import threading
import time

import pytest
from test_secondary_ip import ALREADY, DIRECTOR, FIRMWARE, INVALID, NOT_INSTALLED, OK, Ecu, put_targets

from der import message, octets, parse
from helpers_fixture import Activator, program
from remote import wait_for

NEED_COMPLETION = 21
NEW = FIRMWARE[::-1]

# The memory of the ECU is a file; what it was asked is another. "install" calls what a test puts in the place of the words.
HANDLER = """#!/bin/sh
M=%(folder)s/memory
echo "$1" >> %(folder)s/actions
case "$1" in
get-firmware-info) echo '{"status":"ok","name":"factory.bin","sha256":"'$(sha256sum < $M | cut -d' ' -f1)'","length":'$(wc -c < $M)'}' ;;
install) cp $M $M.old; env | grep ^UPTANE_ | sort > %(folder)s/facts; %(install)s ;;
complete-install) %(complete)s ;;
rollback) [ -e $M.old ] || exit 65; mv $M.old $M; echo '{"status":"ok"}' ;;
esac
"""
GOOD = """cat "$UPTANE_IMAGE_PATH" > $M; echo '{"status":"ok"}'"""
LATER = """cat <&3 > $M.new; echo '{"status":"need-completion"}'"""
COMPLETE = """mv $M.new $M; echo '{"status":"ok"}'"""


class BootingEcu(Ecu):
    """One whose boots are the test's."""

    def __init__(self, folder, **settings):
        self.boot = folder / "boot-id"
        self.set_boot(1)
        super().__init__(folder, **settings)

    def set_boot(self, number):
        self.boot.write_text("00000000-0000-0000-0000-%012d\n" % number)

    def command(self):
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id; exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(self.boot), *super().command()]

    def runs(self):
        return self.report()["installed_image"]["filepath"]


class ExecEcu(BootingEcu):
    def __init__(self, folder, **settings):
        self.handlers = folder / "handlers"
        self.handlers.mkdir(mode=0o755)
        self.handler = self.handlers / "flash"
        self.helper = Activator(folder, [program("exec", "uptane-exec"), f"--handlers={self.handlers}"])
        super().__init__(folder, **{"install": "exec", "handler": self.handler, "helper-socket": self.helper.socket, **settings})
        self.memory = folder / "memory"
        self.memory.write_bytes(b"old")

    def put_handler(self, install=GOOD, complete=COMPLETE):
        new = self.handlers / "new"  # the old one may be running
        new.write_text(HANDLER % {"folder": self.folder, "install": install, "complete": complete})
        new.chmod(0o755)
        new.rename(self.handler)

    def reboot(self, number):
        self.stop()
        self.set_boot(number)
        self.start()

    def actions(self):
        path = self.folder / "actions"
        return path.read_text().split() if path.exists() else []

    def prepare(self, name="new.bin", data=NEW, **options):
        self.assign(name=name, data=data, **options)
        assert put_targets(self) == (OK, "")
        assert self.upload(data) == (OK, "")

    def update(self, name="new.bin", data=NEW, **options):
        self.prepare(name, data, **options)
        return self.install(name)

    def close(self):
        self.stop()
        self.helper.stop()


@pytest.fixture
def mcu(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: the boot id is another one")
    e = ExecEcu(tmp_path, verification="partial")
    (tmp_path / "roots" / "image.root.json").unlink()
    e.put_handler()
    e.start()
    yield e
    e.close()


# Uptane 5.4.3.5 (a)
def test_a_handler_gets_the_verified_image_and_says_what_runs(mcu):
    old = mcu.report()["installed_image"]
    assert old["filepath"] == "factory.bin" and old["fileinfo"]["hashes"]["sha256"] == hashlib.sha256(b"old").hexdigest()
    assert mcu.update(counter=3) == (OK, "")
    assert mcu.memory.read_bytes() == NEW and mcu.runs() == "new.bin"
    facts = dict(line.split("=", 1) for line in (mcu.folder / "facts").read_text().splitlines())
    digest = hashlib.sha256(NEW).hexdigest()
    assert facts["UPTANE_IMAGE_NAME"] == "new.bin" and facts["UPTANE_IMAGE_SHA256"] == digest and facts["UPTANE_IMAGE_LENGTH"] == str(len(NEW))
    assert facts["UPTANE_ECU_SERIAL"] == "brake-0001" and facts["UPTANE_INSTALLED_NAME"] == "factory.bin"
    assert mcu.install("new.bin")[0] == ALREADY
    mcu.restart()
    assert mcu.runs() == "new.bin" and mcu.actions().count("install") == 1
    assert not list((mcu.folder / "state").glob("*.part")), "the image is not kept"
    mcu.assign(name="older.bin", data=b"older", counter=2)
    assert put_targets(mcu)[0] == INVALID, "the release counter's baseline is that of what was installed"


def test_full_verification_ends_at_a_handler_too(tmp_path):
    e = ExecEcu(tmp_path)
    e.put_handler()
    e.start()
    try:
        e.assign(name="new.bin", data=NEW)
        assert e.put_metadata() == (OK, "") and e.upload(NEW) == (OK, "") and e.install("new.bin") == (OK, "")
        assert e.runs() == "new.bin" and e.memory.read_bytes() == NEW
    finally:
        e.close()


# Uptane 5.4.3.4 (7)
def test_a_wrong_image_reaches_no_handler(mcu):
    mcu.assign(name="new.bin", data=NEW)
    assert put_targets(mcu) == (OK, "")
    assert mcu.upload(NEW[:-1] + b"x") == (OK, "")
    assert mcu.install("new.bin")[0] == INVALID
    assert "install" not in mcu.actions() and mcu.runs() == "factory.bin" and mcu.report()["attacks_detected"] != ""


@pytest.mark.parametrize("install, words", [
    ("""printf half > $M; echo '{"status":"failed","message":"voltage \\\\"low\\\\""}'""", 'voltage "low"'),
    ("printf half > $M; kill -9 $$", "killed by signal 9"),
    ("printf half > $M; echo nonsense", "its answer"),
    ("""printf half > $M; echo '{"status":"ok"}'""", "is not what runs"),
    ("printf half > $M; sleep 1000", "did not end within 3 s"),
], ids=["says so", "crashes", "nonsense", "lies", "hangs"])
def test_a_handler_that_fails_is_told_to_roll_back_and_the_old_is_reported(mcu, install, words):
    mcu.config.write_text(mcu.config.read_text() + "install-timeout = 3\n")
    mcu.put_handler(install)
    mcu.restart()
    code, description = mcu.update()
    assert code == NOT_INSTALLED and words in description and description.startswith("rolled back"), description
    assert mcu.install("new.bin") == (code, description), "asked again, it says the same"
    mcu.restart()
    assert mcu.install("new.bin") == (code, description), "behind a restart, too"
    assert mcu.actions().count("install") == 1 and "rollback" in mcu.actions()
    assert mcu.memory.read_bytes() == b"old" and mcu.runs() == "factory.bin"
    mcu.put_handler()
    assert mcu.update() == (OK, "") and mcu.runs() == "new.bin"


def test_what_needs_a_boot_is_reported_behind_it_and_not_before(mcu):
    mcu.put_handler(LATER)
    assert mcu.update()[0] == NEED_COMPLETION
    assert mcu.runs() == "factory.bin" and (mcu.folder / "state" / "reboot-required").exists()
    mcu.restart()
    assert mcu.runs() == "factory.bin" and "complete-install" not in mcu.actions(), "it was not booted"
    assert put_targets(mcu) == (OK, "") and mcu.install("new.bin")[0] == NEED_COMPLETION
    assert mcu.actions().count("install") == 1
    mcu.reboot(2)
    assert mcu.runs() == "new.bin" and mcu.memory.read_bytes() == NEW
    assert not (mcu.folder / "state" / "reboot-required").exists()
    mcu.reboot(3)
    assert mcu.runs() == "new.bin" and mcu.actions().count("complete-install") == 1


def test_what_does_not_complete_is_rolled_back_and_told_as_the_old(mcu):
    mcu.put_handler(LATER, "printf half > $M; exit 1")
    assert mcu.update()[0] == NEED_COMPLETION
    mcu.reboot(2)
    assert mcu.runs() == "factory.bin" and mcu.memory.read_bytes() == b"old"
    code, description = mcu.install("new.bin")
    assert code == NOT_INSTALLED and description.startswith("rolled back"), description
    assert mcu.actions().count("install") == 1
    mcu.put_handler()
    assert mcu.update() == (OK, "") and mcu.runs() == "new.bin"
    mcu.restart()
    assert "nothing is to be installed" in mcu.install("new.bin")[1]


def waiting_handler(folder, then=GOOD):
    """It says that it has begun, and goes on when it may."""
    return f": > {folder}/begun; while [ ! -e {folder}/go ]; do sleep 0.05; done; {then}"


def test_while_the_handler_works_everybody_else_is_served(mcu):
    mcu.put_handler(waiting_handler(mcu.folder))
    mcu.prepare()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(mcu.install("new.bin"))) for _ in range(2)]
    threads[0].start()
    wait_for((mcu.folder / "begun").exists, "the handler")
    threads[1].start()
    assert mcu.root_version(DIRECTOR) == 1 and mcu.runs() == "factory.bin"
    with mcu.connect() as s:  # new metadata has to wait for the end
        s.sendall(message(14, b"\x30\x00", b"\x30\x00"))
        s.settimeout(1)
        with pytest.raises(TimeoutError):
            s.recv(1)
        assert answers == []
        (mcu.folder / "go").touch()
        s.settimeout(20)
        assert parse(s.recv(4096))[0] == 15
    for thread in threads:
        thread.join(20)
    assert answers == [(OK, ""), (OK, "")] or sorted(answers) == [(OK, ""), (ALREADY, "")], answers
    assert mcu.actions().count("install") == 1


def test_one_that_works_longer_than_any_message_may_take_is_waited_for(mcu):
    mcu.put_handler("sleep 12; " + GOOD)  # silence of 10 s ends other connections
    mcu.prepare()
    with mcu.connect() as s:
        s.settimeout(30)
        code, _ = parse(mcu.exchange(message(8, octets(b"new.bin")), s))[1]
    assert code == bytes([OK]) and mcu.runs() == "new.bin"


def test_a_primary_that_has_gone_hears_the_end_when_it_asks_again(mcu):
    mcu.put_handler(waiting_handler(mcu.folder))
    mcu.prepare()
    with mcu.connect() as s:
        s.sendall(message(8, octets(b"new.bin")))
        wait_for((mcu.folder / "begun").exists, "the handler")
    (mcu.folder / "go").touch()
    assert mcu.install("new.bin")[0] in (OK, ALREADY) and mcu.runs() == "new.bin"
    assert mcu.actions().count("install") == 1


@pytest.mark.parametrize("flashed", [False, True])
def test_killed_in_the_middle_it_says_what_the_handler_says(mcu, flashed):
    mcu.put_handler(waiting_handler(mcu.folder) if not flashed else GOOD + f"; : > {mcu.folder}/begun; sleep 1000")
    mcu.prepare()
    with mcu.connect() as s:
        s.sendall(message(8, octets(b"new.bin")))
        wait_for((mcu.folder / "begun").exists, "the handler")
        subprocess.run(["pkill", "-KILL", "-P", str(mcu.process.pid)], check=False)
        mcu.process.kill()
        mcu.process.wait()
    mcu.start()
    assert mcu.runs() == ("new.bin" if flashed else "factory.bin")
    mcu.put_handler()
    mcu.prepare()
    assert mcu.install("new.bin")[0] == (ALREADY if flashed else OK) and mcu.runs() == "new.bin"


def test_what_others_have_put_there_is_told_as_what_it_is(mcu):
    assert mcu.update() == (OK, "")
    mcu.memory.write_bytes(b"from a workshop")
    mcu.restart()
    report = mcu.report()["installed_image"]
    assert report["filepath"] == "factory.bin" and report["fileinfo"]["hashes"]["sha256"] == hashlib.sha256(b"from a workshop").hexdigest()


def test_a_handler_that_knows_the_hash_alone_is_enough_and_one_that_knows_nothing_says_so(mcu):
    mcu.stop()  # a script that runs must not change
    mcu.handler.write_text(mcu.handler.read_text().replace('"name":"factory.bin",', "").replace(""","length":'$(wc -c < $M)'}'""", "}'"))
    mcu.restart()
    assert mcu.report()["installed_image"]["fileinfo"]["hashes"]["sha256"] == hashlib.sha256(b"old").hexdigest()
    assert mcu.update() == (OK, "") and mcu.runs() == "new.bin"
    mcu.restart()
    assert mcu.runs() == "new.bin"
    mcu.stop()
    mcu.handler.write_text("""#!/bin/sh\necho '{"status":"unknown"}'\n""")
    mcu.start()
    assert mcu.runs() == "unknown"


def test_without_its_helper_it_serves_and_refuses(mcu):
    assert mcu.update() == (OK, "")
    mcu.helper.stop()
    mcu.restart()
    assert mcu.runs() == "new.bin", "nobody knows better than what was last known"
    code, description = mcu.update("other.bin", b"other")
    assert code not in (OK, ALREADY) and "rolling back failed" in description, description
    assert mcu.runs() == "new.bin"


def test_it_sleeps_between_and_looks_again(mcu):
    mcu.config.write_text(mcu.config.read_text() + "sleep-after = 1\n")
    mcu.restart()

    def asleep():
        return os.readlink(f"/proc/{mcu.process.pid}/exe").endswith("-idle")
    wait_for(asleep, "sleep")
    assert mcu.update() == (OK, "")
    wait_for(asleep, "sleep")
    mcu.memory.write_bytes(b"old")
    assert mcu.runs() != "new.bin"


def test_a_stop_in_the_middle_stops_the_handler(mcu):
    mcu.put_handler(f"echo $$ > {mcu.folder}/pid.new; mv {mcu.folder}/pid.new {mcu.folder}/pid; sleep 1000")
    mcu.prepare()
    with mcu.connect() as s:
        s.sendall(message(8, octets(b"new.bin")))
        wait_for((mcu.folder / "pid").exists, "the handler")
        began = time.monotonic()
        mcu.stop()
        assert time.monotonic() - began < 5
    pid = int((mcu.folder / "pid").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the handler")


@pytest.mark.parametrize("settings, words", [
    ({"install": "exec"}, "needs a handler"), ({"install": "ostree"}, "needs an ostree-url"), ({"install": "exec", "handler": "flash"}, "absolute"),
    ({"handler": "/flash"}, "are for install = exec"), ({"install": "flash"}, "neither 'exec' nor 'ostree'"),
    ({"install": "ostree", "ostree-url": "ftp://a"}, "https://"), ({"helper-socket": "/run/a"}, "helper-socket is for")])
def test_a_wrong_configuration_is_told(tmp_path, settings, words):
    e = Ecu(tmp_path, **settings)
    done = subprocess.run([*e.command()], capture_output=True, text=True, check=False)
    assert done.returncode == 64 and words in done.stderr, done.stderr
