# SPDX-License-Identifier: Apache-2.0
"""Bad networks between the Primary and its Secondaries: whatever it is, an update ends, well or in a failure that is told as it is,
and the next one in a good network succeeds."""
import time

import pytest
from link import Link, why_not
from vehicle import wait_for

REASON = why_not()
pytestmark = [pytest.mark.skipif(REASON is not None, reason=str(REASON)),
              pytest.mark.world(config="[timeouts]\nsecondary = 20\n[update]\nconsent-install = ask\n")]


@pytest.fixture
def linked(world):
    """A vehicle whose Secondary is at the other end of a wire; it notices silence sooner than others."""
    v = world.vehicle
    world.link = Link("car")
    try:
        world.link.join(v)
        v.wrap["uptane-secondary-ip"] = ["/run/build/daemon/secondary-ip/uptane-secondary-ip", "--silence-timeout=8", "--exchange-timeout=40"]
        v.boot()
        v.wait_state("idle")
        yield world
    finally:
        world.link.close()


def begin(world, name, data):
    """The network is as it is from here on: everything else is done. Returns how many installation reports there were."""
    v = world.vehicle
    before = len(world.director.reports())
    world.assign(firmware=world.publish_firmware(name, data))
    v.verb("CheckForUpdates")
    v.wait_state("awaiting-consent")
    return before


def install(world):
    v = world.vehicle
    v.verb("Approve", "(ss)", (v.property("Update")["Id"], "install"))


def ended(world, before, seconds):
    """The one report about it; None where it is put off with an error, to be tried again."""
    v = world.vehicle

    def over():
        return v.state() in ("idle", "awaiting-consent") and (len(world.director.reports()) > before or v.error()[0] != "")
    wait_for(over, lambda: "the end of it; %s, %s" % (v.state(), v.log("uptaned")[-1500:]), seconds)
    assert len(world.director.reports()) <= before + 1
    return world.director.reports()[-1] if len(world.director.reports()) > before else None


def in_the_middle(v, data):
    """Some of the image is there (the download has left its own progress)."""
    wait_for(lambda: 5000 < v.ecu("secondary1", "ProgressDone") < len(data) - 5000, "the middle of the image")


def is_truthful(world, report, data, old):
    """Whether it succeeded. Whatever is said of it is what the Secondary has."""
    v = world.vehicle
    secondary, = v.secondaries
    success = report is not None and report["result"]["success"]
    assert secondary.content() == (data if success else old)
    if report:
        item, = report["items"]
        assert item["ecu"] == secondary.serial and item["result"]["success"] == success
    if not success:
        name, message = v.error()
        assert name in ("Unreachable", "Timeout", "Secondary") and "secondary1" in message, (name, message)
    return success


def good_again(world):
    v = world.vehicle
    world.link.mend()
    world.director.clear()
    v.wait_state("idle", "awaiting-consent")
    v.check()
    before, data = begin(world, "good.bin", b"good again\n" * 300), b"good again\n" * 300
    install(world)
    assert ended(world, before, 30)["result"]["success"] and v.secondaries[0].content() == data


def test_a_fifth_of_all_packets_is_lost(linked):
    data = b"lossy\n" * 3000
    before = begin(linked, "lossy.bin", data)
    linked.link.lossy(20)
    install(linked)
    is_truthful(linked, ended(linked, before, 90), data, None)
    good_again(linked)


def test_every_byte_takes_a_second(linked):
    v = linked.vehicle
    v.secondaries[0].primary_settings["address"] = linked.link.delay(v.secondaries[0], 1)
    v.write_config()
    v.kill_daemon()
    v.wait_state("idle")
    data = b"late\n" * 400
    before = begin(linked, "late.bin", data)
    install(linked)
    report = ended(linked, before, 90)
    assert is_truthful(linked, report, data, None), "slow is not broken: %s" % report


def test_64_kilobits_a_second_are_enough(linked):
    v = linked.vehicle
    data = bytes(range(256)) * 400
    before = begin(linked, "slow.bin", data)
    linked.link.slow("64kbit")
    install(linked)
    in_the_middle(v, data)
    report = ended(linked, before, 80)
    assert is_truthful(linked, report, data, None), report
    good_again(linked)


@pytest.mark.parametrize("pause", [3, None])
def test_the_wire_is_cut_in_the_middle_of_an_image(linked, pause):
    v = linked.vehicle
    data = bytes(range(256)) * 200
    before = begin(linked, "cut.bin", data)
    linked.link.slow("128kbit")
    install(linked)
    in_the_middle(v, data)
    linked.link.cut()
    if pause:
        time.sleep(pause)  # how long it is cut is what is tested
        linked.link.mend()
    report = ended(linked, before, 60)
    success = is_truthful(linked, report, data, None)
    assert success == (pause is not None), report
    good_again(linked)


def test_the_wire_is_cut_before_anything_is_sent(linked):
    v = linked.vehicle
    before = begin(linked, "never.bin", b"never" * 1000)
    linked.link.cut()
    install(linked)
    assert not is_truthful(linked, ended(linked, before, 60), None, None)
    v.verb("CheckForUpdates")
    wait_for(lambda: not v.ecu("secondary1", "Reachable"), "the next look at it")
    assert "not reachable" in v.ctl("ecus").stdout
    good_again(linked)
