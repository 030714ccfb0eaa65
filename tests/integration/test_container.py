# SPDX-License-Identifier: Apache-2.0
"""A vehicle with systemd, the installed units in their sandboxes, logind and a booted OSTree deployment, seen from outside."""
import hashlib
import os
import shutil
import tempfile

import pytest
from conftest import World
from container import machine, rootfs
from container.images import UNITS, SystemImages
from container.vehicle import ContainerVehicle
from images import remove_tree
from remote import wait_for
from vehicle import BUILD

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not all(shutil.which(p) for p in (*machine.PROGRAMS, "mmdebstrap")),
                                reason="needs root, systemd-nspawn and mmdebstrap")

# Exposure by systemd-analyze security, as in tests/lint/units.py, but of what is really loaded.
THRESHOLDS = {"uptaned.service": 2.0, "uptane-fetch@test.service": 2.0, "uptane-secondary-ip@test.service": 2.0, "uptane-secondary.service": 2.0,
              "uptane-ostree@test.service": 6.0}


@pytest.fixture(scope="session")
def system_images():
    folder = tempfile.mkdtemp(prefix="uptaned-system-images.", dir="/tmp")
    yield SystemImages(os.path.join(folder, "images"), BUILD)
    remove_tree(folder)


@pytest.fixture
def world(system_images, request):
    marker = request.node.get_closest_marker("world")
    w = World(system_images, kind=ContainerVehicle, **(marker.kwargs if marker else {}))
    try:
        yield w
        if os.environ.get("SHOW_LOGS"):
            print(w.vehicle.machine.journal_text()[-20000:])
    finally:
        w.close()


def start(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    return v


def failed_units(v):
    return v.machine.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout.split("\n")[:-1]


def test_the_vehicle_boots_with_every_unit_running_in_its_sandbox(world):
    v = start(world)
    assert world.director.primary == v.serial
    assert set(world.director.ecus) == {v.serial, v.secondaries[0].serial}
    assert v.error() == ("", "")
    assert failed_units(v) == []
    assert "* test-os %s.0" % v.factory_commit in v.status()
    assert {unit: level for unit, level in ((unit, v.exposure(unit)) for unit in THRESHOLDS) if level > THRESHOLDS[unit]} == {}
    assert {unit.replace("@", "@test") for unit in UNITS} == set(THRESHOLDS)
