# SPDX-License-Identifier: Apache-2.0
"""What a Secondary that verifies partially takes of the memory: below 4 MB, while it verifies as while nobody talks to it. With
TLS, whose library takes more than that by itself, uptane-secondary becomes another program."""
import os
import shutil
import subprocess

import pytest
from test_secondary_ip import ALREADY, INVALID, OK, Ecu, put_targets, small  # noqa: F401  # a fixture

from helpers_fixture import BUILD, SECONDARY_WITH_LIBRARIES, program
from remote import wait_for

PROMISE, GROWTH = 4096, 512  # KiB; 3.1 MB were measured on x86-64 with glibc 2.36, and 1.2 asleep
IDLE = "uptane-secondary-idle"

pytestmark = pytest.mark.skipif(SECONDARY_WITH_LIBRARIES == "uptane-secondary" or b"__asan_init" in (BUILD / "daemon/secondary/uptane-secondary").read_bytes(),
                                reason="built with sanitizers, or with -Dsmall-secondary=false")


def memory(pid):
    """Of the program that this process is now; Peak is the highest Rss that it had."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        values = {line.split(":")[0]: int(line.split()[1]) for line in f if line.rstrip().endswith("kB")}
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        values["Peak"] = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    return values


def runs(ecu):
    return os.path.basename(os.readlink("/proc/%d/exe" % ecu.process.pid))


def is_asleep(ecu):
    return runs(ecu) == IDLE


def wait_asleep(ecu):
    wait_for(lambda: is_asleep(ecu), lambda: "sleep; " + ecu.log(), 10)


def update(ecu, name, data, counter):
    ecu.assign(name=name, data=data, counter=counter)
    assert put_targets(ecu) == (OK, "")
    assert ecu.upload(data) == (OK, "") and ecu.install(name) == (OK, "")


@pytest.fixture
def sleepy(tmp_path):
    e = Ecu(tmp_path, **{"verification": "partial", "sleep-after": 1})
    (tmp_path / "roots" / "image.root.json").unlink()
    e.start()
    yield e
    e.stop()


def test_partial_verification_takes_little_memory_and_no_more_with_every_update(small):  # noqa: F811
    pid = small.process.pid
    start = memory(pid)
    assert start["Peak"] < PROMISE, start
    for i in range(20):
        update(small, "%d.bin" % i, bytes([i]) * 50000, i)
        small.report()
    end = memory(pid)
    assert end["Anonymous"] < start["Anonymous"] + GROWTH and end["Peak"] < PROMISE, (start, end)


def test_between_two_updates_it_takes_still_less(sleepy):
    pid = sleepy.process.pid
    for i in range(3):
        wait_asleep(sleepy)
        asleep = memory(pid)
        assert asleep["Peak"] < PROMISE / 2, asleep
        update(sleepy, "%d.bin" % i, bytes([i]) * 50000, i)
        assert not is_asleep(sleepy) and memory(pid)["Peak"] < PROMISE
    assert sleepy.process.poll() is None and sleepy.process.pid == pid, "it is one process all the time"


def test_what_it_knows_survives_its_sleep(sleepy):
    update(sleepy, "one.bin", b"one", 5)
    before = int(sleepy.report()["report_counter"])
    wait_asleep(sleepy)
    report = sleepy.report()
    assert report["installed_image"]["filepath"] == "one.bin" and int(report["report_counter"]) == before + 1
    wait_asleep(sleepy)
    sleepy.assign(name="old.bin", data=b"old", counter=4)
    assert put_targets(sleepy)[0] == INVALID
    wait_asleep(sleepy)
    assert "rollback" in sleepy.report()["attacks_detected"].lower(), "what it has seen is told behind the sleep"


def test_why_an_installation_failed_is_told_in_the_same_words_behind_its_sleep(sleepy):
    sleepy.assign(name="new.bin", data=b"new")
    assert put_targets(sleepy) == (OK, "") and sleepy.upload(b"wen") == (OK, "")
    code, words = sleepy.install("new.bin")
    assert code == INVALID and "hashes" in words
    assert sleepy.install("new.bin") == (code, words), "asked again, it says the same"
    wait_asleep(sleepy)
    assert sleepy.install("new.bin") == (code, words)
    sleepy.restart()
    assert sleepy.install("new.bin") == (code, words)
    assert "nothing is to be installed" in sleepy.install("new.bi")[1] and "nothing is to be installed" in sleepy.install("new.bin2")[1]
    update(sleepy, "new.bin", b"new", 1)
    wait_asleep(sleepy)
    assert "nothing is to be installed" in sleepy.install("new.bin")[1], "what went well is no failure"


def test_an_update_under_way_keeps_it_awake(sleepy):
    sleepy.assign(name="late.bin", data=b"late" * 100)
    assert put_targets(sleepy) == (OK, "")
    with pytest.raises(AssertionError):
        wait_for(lambda: is_asleep(sleepy), "sleep", 3)  # three times sleep-after
    assert sleepy.upload(b"late" * 100) == (OK, "") and sleepy.install("late.bin") == (OK, "")
    wait_asleep(sleepy)
    assert put_targets(sleepy) == (OK, "") and sleepy.install("late.bin")[0] == ALREADY


def test_a_connection_without_a_word_wakes_it_and_it_sleeps_again(sleepy):
    wait_asleep(sleepy)
    with sleepy.connect() as s:
        wait_for(lambda: not is_asleep(sleepy), "waking")
        assert sleepy.root_version(0) == 1, "the others are served"
        s.settimeout(20)
        assert s.recv(1) == b""
    wait_asleep(sleepy)


def test_it_ends_in_its_sleep_when_it_is_told(sleepy):
    wait_asleep(sleepy)
    sleepy.stop()
    sleepy.start()
    assert sleepy.root_version(0) == 1


# ---- what the small program is not up to ----

@pytest.mark.parametrize("settings", [{"key-type": "rsa"}, {"listen": "localhost:0"}, {"primary": "localhost:1"}], ids=str)
def test_what_it_cannot_do_it_leaves_to_the_other_program(tmp_path, settings):
    e = Ecu(tmp_path, **settings).start()
    assert runs(e) == "uptane-secondary-tls"
    assert e.update() == (OK, "")
    e.restart()
    assert runs(e) == "uptane-secondary-tls", "its key is the same"
    e.stop()


def test_an_ecu_keeps_its_key_and_its_trust_in_the_other_program(tmp_path):
    e = Ecu(tmp_path).start()
    assert runs(e) == "uptane-secondary" and e.update(counter=3) == (OK, "")
    before = e.report()
    e.config.write_text(e.config.read_text().replace("127.0.0.1:0", "localhost:0"))
    e.restart()
    assert runs(e) == "uptane-secondary-tls"
    after = e.report()
    assert int(after.pop("report_counter")) == int(before.pop("report_counter")) + 1
    assert after["installed_image"] == before["installed_image"] and after["ecu_serial"] == before["ecu_serial"]
    e.assign(name="old.bin", data=b"old", counter=2)
    assert e.put_metadata()[0] == INVALID
    e.stop()


def test_where_the_other_program_is_not_installed_it_says_what_is_needed(tmp_path):
    alone = tmp_path / "uptane-secondary"
    shutil.copy(program("secondary", "uptane-secondary"), alone)
    e = Ecu(tmp_path, tls="yes", **{"tls-ca": "/ca", "tls-certificate": "/certificate", "tls-key": "/key"})
    r = subprocess.run([alone, "--config", str(e.config)], capture_output=True, text=True, timeout=10, check=False)
    assert r.returncode != 0 and "has no TLS" in r.stderr and str(tmp_path / "uptane-secondary-tls") in r.stderr
