# SPDX-License-Identifier: Apache-2.0
"""Hostile bytes in the in-vehicle network, against the Primary's side and a Secondary's, and a Secondary that slept for years."""
import contextlib
import socket
import threading
import time

import pytest
from attack import attacks, check
from between import Between
from conftest import World, skip_without_vehicle
from der import parse
from helpers_fixture import Activator, RemoteError, program
from test_secondary_ip import DIRECTOR, OK, Helper, ecu  # noqa: F401  # a fixture
from vehicle import wait_for

MIB = 1 << 20
ANSWER_MAX = 96 << 10  # src/secondary/ip.h
# what a message of kind 0xa3 (or another question's answer) may look like where somebody wants to do harm
BOMBS = {
    "indefinite length": b"\xa3\x80\x30\x80\x04\x01x\x00\x00\x00\x00",
    "indefinite lengths, nested": b"\xa3\x80" * 100000,
    "nested": b"\xa3\x83\x0f\xff\xff" + b"\x30\x83\x0f\xff\xf0" * 50000,
    "constructed string": b"\xa3\x0a\x30\x08\x24\x06\x04\x01a\x04\x01b",
    "length of 4 GiB": b"\xa3\x84\xff\xff\xff\xff" + b"x" * 1000,
    "length of eight bytes": b"\xa3\x88" + b"\xff" * 8 + b"x" * 1000,
    "length of 127 bytes": b"\xa3\xff" + b"\xff" * 127,
    "reserved length": b"\xa3\xff",
    "longer than its parent": b"\xa3\x04\x30\x7f\x04\x7f",
    "length with zeros in front": b"\xa3\x84\x00\x00\x00\x05\x30\x03\x04\x01x",
    "high tag": b"\xbf\xff\xff\xff\x7f\x00",
}
HALVES = {"half a message": b"\xa3\x82\x04\x00\x30\x82", "a byte": b"\xa3", "nothing": b""}


class Hostile:
    """Says the same to everybody who asks, and keeps the connection open."""

    def __init__(self, words, more=None):
        self.words, self.more, self.sent, self.held = words, more, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.held.append(client)
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        with contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(self.words)
            while self.more:
                self.sent += client.send(self.more)

    def close(self):
        self.listener.close()
        for client in self.held:
            client.close()


@pytest.fixture
def hostile():
    made = []

    def make(*arguments):
        made.append(Hostile(*arguments))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def helper_socket(tmp_path_factory):
    activator = Activator(tmp_path_factory.mktemp("helper"), [program("secondary-ip", "uptane-secondary-ip"),
                          "--connect-timeout=2", "--silence-timeout=2", "--exchange-timeout=4", "--install-timeout=5"])
    yield activator.socket
    activator.stop()


def ask(helper_socket, address, member="GetInfo", reply="(ssss)"):
    """(name of the error, how long it took)"""
    started = time.monotonic()
    with Helper(helper_socket, address) as helper, pytest.raises(RemoteError) as caught:
        helper.ask(member, reply=reply)
    return caught.value.name, time.monotonic() - started


# ---- what a Secondary says to the Primary's helper ----

# T-52
@pytest.mark.parametrize("name", BOMBS)
def test_t52_a_bomb_is_refused_at_once_and_named(helper_socket, hostile, name):
    for kind, member, reply in ((0xa1, "GetInfo", "(ssss)"), (0xb2, "GetManifest", "(ay)")):
        error, seconds = ask(helper_socket, hostile(bytes([kind]) + BOMBS[name][1:]).address, member, reply)
        assert error in ("Secondary", "Timeout") and seconds < 6, (error, seconds)
        assert error == "Secondary" or name == "nested", "refused as soon as it is seen"


# T-52
@pytest.mark.parametrize("name", HALVES)
def test_t52_half_a_message_is_waited_for_no_longer_than_allowed(helper_socket, hostile, name):
    error, seconds = ask(helper_socket, hostile(HALVES[name]).address)
    assert error == "Timeout" and seconds < 6


# T-52
def test_t52_an_answer_without_end_is_cut_off_at_the_limit(helper_socket, hostile):
    talker = hostile(b"\xa1\x84\x7f\xff\xff\xff", b"x" * 65536)
    assert ask(helper_socket, talker.address)[0] == "Secondary"
    wait_for(lambda: talker.sent == wait_and(talker), "the end of it")
    assert talker.sent < ANSWER_MAX + 16 * MIB, "what the sockets hold, and not a message of 2 GiB"


def wait_and(talker):
    time.sleep(0.2)
    return talker.sent


# T-52: one byte a second is neither silence nor progress
def test_t52_an_answer_that_trickles_ends_with_the_exchange(helper_socket, hostile):
    class Trickle(Hostile):
        def _talk(self, client):
            with contextlib.suppress(OSError):
                client.sendall(b"\xa1\x82\x10\x00")
                while True:
                    time.sleep(0.5)
                    client.sendall(b"x")
    trickle = Trickle(b"")
    error, seconds = ask(helper_socket, trickle.address)
    trickle.close()
    assert error == "Timeout" and seconds < 8


# ---- what somebody says to a Secondary ----

def memory(pid):
    """Of a process, at most so far, in bytes."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) * 1024


def said_to(s, words):
    """What it answers before it hangs up, which it may do while it is still being told."""
    with contextlib.suppress(OSError):
        s.sendall(words)
        s.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        return s.recv(1)
    return b""


# T-52
@pytest.mark.parametrize("name", BOMBS)
def test_t52_a_bomb_harms_no_secondary(ecu, name):  # noqa: F811
    ecu.assign()
    before = memory(ecu.process.pid)
    for kind in (0xae, 0xaa, 0xb5):
        with ecu.connect() as s:
            assert said_to(s, bytes([kind]) + BOMBS[name][1:]) == b""
    assert ecu.root_version(DIRECTOR) == 1
    assert memory(ecu.process.pid) < before + 4 * MIB
    assert ecu.update() == (OK, "")


# T-52: memory follows what arrived, not what was announced
def test_t52_many_half_messages_take_no_memory_and_keep_nobody_out(ecu):  # noqa: F811
    before = memory(ecu.process.pid)
    held = [ecu.connect() for _ in range(7)]
    for s in held:
        s.sendall(b"\xae\x84\x02\x00\x00\x00\x30")
    assert ecu.update() == (OK, "")
    assert memory(ecu.process.pid) < before + 8 * MIB
    for s in held:
        s.close()


# ---- a vehicle ----

# T-52: the others are unaffected
@pytest.mark.world(secondaries=2)
@pytest.mark.parametrize("name", ["indefinite lengths, nested", "length of 4 GiB", "half a message", "nothing"])
def test_t52_a_vehicle_with_one_hostile_secondary_updates_the_others(world, name):
    v = world.vehicle
    bad, good = v.secondaries
    between = Between.join(v, bad)
    v.boot()
    v.wait_state("idle")
    words = {**BOMBS, **HALVES}[name]
    between.change = lambda request, answer: (bytes([answer[0]]) + words[1:]) if name in BOMBS else None
    data = b"not theirs\n" * 1000
    target = world.publish_firmware("good.bin", data)[1]
    world.director.assign([("good.bin", target, good.serial, good.hardware_id, None)])
    started = time.monotonic()
    check(world)
    wait_for(lambda: good.content() == data and v.state() == "idle", "the update of the other one")
    assert time.monotonic() - started < 40
    assert not v.ecu("secondary1", "Reachable") and v.ecu("secondary2", "Reachable")
    assert v.ecu("secondary1", "LastError")[0] in ("org.uptane.Error.Secondary", "org.uptane.Error.Timeout")
    assert world.director.installed(good.serial)[0] == "good.bin" and attacks(world) == ""
    between.change = lambda request, answer: answer
    world.update_firmware()
    assert v.ecu("secondary1", "Reachable")
    between.close()


def versions(between, repository):
    """Of the Roots that the Secondary was sent, in order; each followed by its answer."""
    found = []
    for request, answer in zip(between.asked, between.answers):
        kind, fields = parse(request)
        if kind == 21 and fields[0] == bytes([repository]):
            assert parse(answer)[1][0] == b"\0", "refused"
            found.append(int(fields[1].split(b'"version":')[1].split(b",")[0].split(b"}")[0]))
    return found


# T-54
@pytest.mark.parametrize("partial", [False, True])
def test_t54_a_secondary_that_missed_five_rotations_gets_every_root_one_by_one(images, partial):
    skip_without_vehicle()
    world = World(images, partial=("secondary1",) if partial else ())
    try:
        missed_five(world, partial)
    finally:
        world.close()


def missed_five(world, partial):
    v = world.vehicle
    between = Between.join(v, v.secondaries[0])
    v.boot()
    v.wait_state("idle")
    world.update_firmware()
    assert versions(between, 0) == versions(between, 1) == []
    v.control("stop", "secondary1")
    for n in range(5):
        for repository in (world.director.repository, world.backend.image):
            repository.rotate(*("root", "targets", "timestamp")[:1 + n % 3])
            repository.publish()
        check(world)
    v.control("start", "secondary1")
    world.update_firmware()
    assert versions(between, 0) == [2, 3, 4, 5, 6]
    assert versions(between, 1) == ([] if partial else [2, 3, 4, 5, 6])
    world.update_firmware()
    assert versions(between, 0) == [2, 3, 4, 5, 6], "what it has is not sent again"
    between.close()
