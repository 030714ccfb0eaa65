# SPDX-License-Identifier: Apache-2.0
"""Slow retrieval (T-39) between a Primary and its Secondary: who trickles is given up, told of in the next report, and keeps nobody else waiting."""
import time

import pytest
from test_secondary_ip import FIRMWARE, OK, Ecu, put_targets

from der import message, octets

SPEED, SECONDS = 400, 1


@pytest.fixture
def ecu(tmp_path):
    e = Ecu(tmp_path, **{"verification": "partial", "min-speed": SPEED, "min-speed-seconds": SECONDS})
    e.start()
    yield e
    e.stop()


def is_open(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        s.settimeout(10)


def trickle(s, data, pause=0.1, seconds=10):
    """Byte by byte; how long until it was hung up on."""
    began = time.monotonic()
    for byte in data:
        if time.monotonic() - began > seconds or not is_open(s):
            break
        try:
            s.sendall(bytes([byte]))
        except ConnectionError:
            break
        time.sleep(pause)
    assert not is_open(s), "it goes on and on"
    return time.monotonic() - began


# Uptane 5.4 (d)
def test_t39_a_message_that_trickles_is_given_up_and_told(ecu):
    ecu.assign()
    with ecu.connect() as s:
        s.sendall(message(10, octets(bytes(1024)))[:1])
        assert 2 * SECONDS <= trickle(s, message(10, octets(bytes(1024)))[1:]) < 6
    assert ecu.report()["attacks_detected"].startswith("slow retrieval"), ecu.report()
    assert put_targets(ecu) == (OK, "") and ecu.upload() == (OK, "") and ecu.install() == (OK, "")
    assert ecu.report()["attacks_detected"] == ""


def test_t39_pieces_of_an_image_that_come_one_by_one_are_measured_together(ecu):
    ecu.assign()
    assert put_targets(ecu) == (OK, "")
    with ecu.connect() as s:
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < 10 and is_open(s) and sent < 50:
            ecu.exchange(message(10, octets(FIRMWARE[sent:sent + 1])), s)
            sent += 1
            time.sleep(0.3)
        assert not is_open(s) and sent < 30
    assert ecu.report()["attacks_detected"].startswith("slow retrieval")


def test_pauses_between_other_messages_are_nobodys_slowness(ecu):
    with ecu.connect() as s:
        for _ in range(8):
            assert ecu.exchange(message(17, b"\x02\x01\x02"), s)
            time.sleep(0.6)
    assert ecu.report()["attacks_detected"] == ""


def test_while_one_trickles_others_are_served_and_fast_enough_is_fast_enough(ecu):
    ecu.assign()
    with ecu.connect() as slow:
        slow.sendall(message(10, octets(bytes(1024)))[:10])
        assert put_targets(ecu) == (OK, "")
        with ecu.connect() as s:
            for i in range(0, len(FIRMWARE), 128):  # 1280 a second, for 2 s
                assert ecu.exchange(message(10, octets(FIRMWARE[i:i + 128])), s)[0] == 0xab
                time.sleep(0.1)
        assert ecu.install() == (OK, "")


def test_where_no_speed_is_demanded_none_is_measured(tmp_path):
    e = Ecu(tmp_path, **{"min-speed": 0, "min-speed-seconds": 1})
    e.start()
    try:
        with e.connect() as s:
            question = message(19, b"\x0a\x01\x00")
            for byte in question[:-1]:
                s.sendall(bytes([byte]))
                time.sleep(0.5)
            assert e.exchange(question[-1:], s)[0] == 0xb4
        assert e.report()["attacks_detected"] == ""
    finally:
        e.stop()
