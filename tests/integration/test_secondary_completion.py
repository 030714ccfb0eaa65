# SPDX-License-Identifier: Apache-2.0
"""An IP Secondary that runs its new image only behind a reboot of its own, which somebody makes some time, or nobody: it is waited
for, seen to be waited for, and the update ends with what it reports then, over restarts and reboots of the Primary, too."""
import contextlib
import os
import socket

import images as ostree_images
import pytest
from between import Between, read_message
from der import enum, message, octets, parse
from fleet import MIXED, QUICK, Fleet, sha256
from vehicle import wait_for

NEED_COMPLETION = 21
PUT_METADATA, PUT_DATA, INSTALL = 14, 10, 8


class Late(Between):
    """One that keeps what it is told to install until reboot(); away: its network is down."""

    def __init__(self, port):
        super().__init__(port)
        self.away = False
        self.changing = True

    def _serve(self, client):
        with contextlib.suppress(OSError, ConnectionError), socket.create_connection(("127.0.0.1", self.target), timeout=10) as server:
            while not self.away and (request := read_message(client)):
                self.asked.append(request)
                if parse(request)[0] == INSTALL and self.changing:
                    client.sendall(message(16, enum(NEED_COMPLETION), octets(b"")))
                    continue
                server.sendall(request)
                client.sendall(read_message(server))
        client.close()

    def reboot(self):
        """What it was sent last is what it runs now."""
        kinds = [parse(request)[0] for request in self.asked]
        last = len(kinds) - 1 - kinds[::-1].index(PUT_METADATA)
        with socket.create_connection(("127.0.0.1", self.target), timeout=10) as server:
            for request in self.asked[last:]:
                if parse(request)[0] in (PUT_METADATA, PUT_DATA, INSTALL):
                    server.sendall(request)
                    assert parse(read_message(server))[1][0] == b"\0"


@pytest.fixture
def fleet(world):
    f = Fleet(world)
    f.late = Late.join(world.vehicle, world.vehicle.secondaries[0])
    f.start()
    yield f
    f.late.close()


def shown(fleet):
    return fleet.vehicle.ecu("secondary1", "State")


def assign_and_wait(fleet, **options):
    data = fleet.assign(**options)
    wait_for(lambda: shown(fleet) == "awaiting-reboot", lambda: "its reboot; " + fleet.vehicle.log("uptaned")[-2000:], 60)
    return data


@pytest.mark.world(secondaries=2, config=QUICK)
def test_it_is_shown_to_wait_for_its_reboot_and_the_update_succeeds_when_it_runs(fleet):
    v = fleet.vehicle
    data = assign_and_wait(fleet, primary="2")
    wait_for(lambda: v.ecu("secondary2", "State") == "installed", "the other")
    assert v.state() == "installing" and v.error()[0] == "" and v.ecu("secondary1", "PendingImage") == "all-1.bin"
    assert v.ecu("primary", "State") == "prepared" and len(ostree_images.deployments(v.sysroot)) == 1
    assert "awaiting-reboot" in v.ctl("ecus").stdout
    assert fleet.report() is None
    fleet.late.reboot()
    v.wait_reboot()
    v.boot()
    report = fleet.wait_report()
    assert all(result["success"] for result in report.values()), report
    assert fleet.all_run(data) and len(fleet.late.said(INSTALL)) == 1


@pytest.mark.world(secondaries=1, config=QUICK)
def test_it_is_waited_for_over_restarts_of_the_daemon_and_a_reboot_of_the_primary(fleet):
    v = fleet.vehicle
    data = assign_and_wait(fleet)
    for _ in range(3):
        v.kill_daemon()
        wait_for(lambda: shown(fleet) == "awaiting-reboot" and v.state() == "installing", "it waits again")
    v.power_cut()
    v.boot()
    wait_for(lambda: shown(fleet) == "awaiting-reboot", "it waits again")
    assert fleet.report() is None and len(fleet.late.said(INSTALL)) == 1, "it was told again to install"
    fleet.late.away = True
    fleet.late.reboot()
    v.power_cut()  # the whole vehicle is switched off, and on
    v.boot()
    fleet.late.away = False
    report = fleet.wait_report()
    assert all(result["success"] for result in report.values()), report
    assert v.secondaries[0].content() == data and len(fleet.late.said(INSTALL)) == 1


@pytest.mark.world(secondaries=1, config=QUICK + "[timeouts]\ncompletion = 4\n")
@pytest.mark.parametrize("away", [False, True])
def test_one_that_is_not_rebooted_in_its_time_is_one_failure_that_says_so(fleet, away):
    v = fleet.vehicle
    assign_and_wait(fleet)
    fleet.late.away = away
    report = fleet.wait_report()
    serial, = fleet.ip
    assert not report[None]["success"] and report[serial]["code"] == "INSTALL_FAILED"
    words = report[serial]["description"]
    assert "secondary1" in words and "behind its reboot" in words and ("does not answer" if away else "reports") in words, words
    assert v.secondaries[0].content() is None
    fleet.late.away = False
    fleet.late.reboot()  # too late for the report, but not for the truth
    wait_for(lambda: fleet.director.installed(serial)[0] == "all-1.bin", "what it runs")
    fleet.late.changing = False
    fleet.update()


@pytest.mark.world(secondaries=1, config=MIXED)
def test_where_another_fails_nobody_waits_for_its_reboot(fleet):
    fleet.touch("mcu", "slow", "3")
    fleet.touch("mcu", "fail-behind")
    data = assign_and_wait(fleet)
    report = fleet.wait_report()
    serial, = fleet.ip
    assert not report[None]["success"] and "behind" in report["ser-mcu"]["description"]
    assert report[serial]["description"].startswith("it waits for its reboot still: "), report
    fleet.late.reboot()
    wait_for(lambda: fleet.director.installed(serial)[1] == sha256(data), "what it runs")
    os.unlink(fleet.vehicle.path("mcu") + ".fail-behind")
    fleet.late.changing = False
    fleet.update()
