# SPDX-License-Identifier: Apache-2.0
"""T-47, T-48: clocks that are wrong, and those who make them so. What is expired is never taken, a time once seen holds, and no jump locks a vehicle out."""
import calendar
import time

import pytest
from backend.repository import after
from clock import DAY, Clock
from test_attack_report import bad_cycle, good_cycle


@pytest.fixture
def clocked(world):
    """The world with a clock that can be set before the vehicle boots."""
    world.clock = Clock(world.vehicle)
    return world


def boot(world):
    world.vehicle.boot()
    world.vehicle.wait_state("idle")


def refuse_expired(world, repository, **delta):
    """A Timestamp that expires after so long is refused; then it is a good one again."""
    good, repository.expires["timestamp"] = repository.expires["timestamp"], after(**delta)
    repository.publish()
    message = bad_cycle(world, "MetadataExpired")
    repository.expires["timestamp"] = good
    repository.publish()
    return message


# T-47: clock at 1970; Uptane 5.4.1 (2a)
def test_a_clock_at_1970_counts_from_the_build_and_expires_what_is_older(clocked):
    v = clocked.vehicle
    clocked.clock.set_year(1970)
    boot(clocked)
    assert v.property("TimeSource") == "clock-behind"
    assert v.error() == ("", "")
    refuse_expired(clocked, clocked.director.repository, days=-3650)
    clocked.update_firmware()
    clocked.clock.set(0)
    clocked.update_firmware()
    assert v.property("TimeSource") == "system"


# T-47: clock at 2106; Uptane 5.4.4.2 (1a)
def test_a_clock_at_2106_expires_everything_until_it_is_right(clocked):
    v = clocked.vehicle
    boot(clocked)
    clocked.update_firmware()
    installed = v.secondaries[0].content()
    clocked.assign(firmware=clocked.publish_firmware("future.bin", b"future"))
    clocked.clock.set_year(2106)
    assert "2106-" in bad_cycle(clocked, "MetadataExpired")
    v.kill_daemon()
    assert "2106-" in bad_cycle(clocked, "MetadataExpired")
    assert v.secondaries[0].content() == installed
    clocked.clock.set(0)
    clocked.update_firmware()
    assert v.property("TimeSource") == "system" and v.error() == ("", "")


# Uptane 5.4 (b, j), Uptane 5.4.2 (2), Uptane 5.4.2.2, T-47: clock jumps back 1 year after a good cycle
def test_a_clock_that_jumps_back_a_year_does_not_revive_what_has_expired(clocked):
    v = clocked.vehicle
    clocked.clock.set(100 * DAY)
    boot(clocked)  # a good cycle a hundred days from now
    clocked.update_firmware()
    clocked.clock.set((100 - 365) * DAY)
    for restart in (lambda: None, v.kill_daemon, lambda: (v.power_cut(), boot(clocked))):
        restart()
        # by the clock, and by the real one, this is good for fifty days to come
        refuse_expired(clocked, clocked.director.repository, days=50)
        assert v.property("TimeSource") == "clock-behind"
    clocked.assign(firmware=clocked.publish_firmware("frozen.bin", b"frozen"))
    assert "image timestamp" in refuse_expired(clocked, clocked.backend.image, days=50)
    clocked.update_firmware()  # what is good at the time once seen is good


# T-47: no permanent lock-out after a clock forward jump
def test_a_good_cycle_with_a_clock_ahead_locks_nobody_out(clocked):
    v = clocked.vehicle
    image = clocked.backend.image
    image.expires["timestamp"] = after(days=1)
    image.publish()
    boot(clocked)
    clocked.update_firmware()
    # ten months ahead the Director's metadata is still good; the Image repository's is not, but nobody asks for it
    clocked.clock.set(300 * DAY)
    good_cycle(clocked)
    clocked.clock.set(0)
    clocked.update_firmware()
    assert v.property("TimeSource") == "clock-behind" and v.error() == ("", "")
    v.kill_daemon()
    clocked.update_firmware()


def told_time(world):
    """What the last accepted manifest says the time was."""
    return calendar.timegm(time.strptime(world.director.manifests[-1]["signed"]["ecu_version_manifests"][world.vehicle.serial]["signed"]
                                         ["timeserver_time"], "%Y-%m-%dT%H:%M:%SZ"))


# T-48: there is no message with the time that would be taken from anybody: not what a server says beside its answers, ahead or behind
@pytest.mark.parametrize("ahead", [3650 * DAY, -3650 * DAY])
def test_t48_a_time_that_nobody_attests_is_not_believed(clocked, ahead):
    v = clocked.vehicle
    clocked.backend.clock_ahead = ahead
    boot(clocked)
    clocked.update_firmware()
    assert v.property("TimeSource") == "system" and abs(told_time(clocked) - time.time()) < 600
    refuse_expired(clocked, clocked.director.repository, days=-1)
    clocked.backend.clock_ahead = 0
    v.kill_daemon()
    clocked.update_firmware()
    assert v.property("TimeSource") == "system" and v.error() == ("", "")


# T-48: whoever drops what sets the clock, or replays an older time to it, every time, wins nothing beyond what was seen
@pytest.mark.parametrize("days", [0, -365])
def test_t48_a_clock_that_is_kept_behind_is_shown_and_told_and_ends_no_freeze(clocked, days):
    v, director = clocked.vehicle, clocked.director.repository
    clocked.clock.set(100 * DAY)
    boot(clocked)
    clocked.update_firmware()
    seen = told_time(clocked)
    for restart in (v.kill_daemon, lambda: (v.power_cut(), boot(clocked))):
        clocked.clock.set(days * DAY)  # again what it was a hundred days ago, or older
        restart()
        good_cycle(clocked)
        assert v.property("TimeSource") == "clock-behind" and "behind a time already seen" in v.ctl("status").stdout
        # the Director sees that this vehicle's time stands still, and never that it goes back
        assert seen - 600 <= told_time(clocked) <= seen + 600
        message = refuse_expired(clocked, director, days=99)  # what had expired by the time that was seen
        good_cycle(clocked)
        attacks = clocked.director.manifests[-1]["signed"]["ecu_version_manifests"][v.serial]["signed"]["attacks_detected"]
        assert attacks.startswith("freeze: " + message.split(" (")[0][:40])
    clocked.clock.set(100 * DAY)
    clocked.update_firmware()
    assert v.property("TimeSource") == "system" and v.error() == ("", "")
