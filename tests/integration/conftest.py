# SPDX-License-Identifier: Apache-2.0
"""A back-end and a booted vehicle for each test that asks for one; the OSTree images are made once."""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from backend import Backend  # noqa: E402
from images import Images, remove_tree  # noqa: E402
from vehicle import BUILD, Vehicle  # noqa: E402


@pytest.fixture(scope="session")
def images():
    folder = tempfile.mkdtemp(prefix="uptaned-images.", dir="/tmp")
    yield Images(os.path.join(folder, "images"))
    remove_tree(folder)


class World:
    """A back-end, a vehicle (of this kind), and what connects the two."""

    def __init__(self, images, kind=Vehicle, **options):
        self.folder = tempfile.mkdtemp(prefix="uptaned-test.", dir="/tmp")
        self.images = images
        vehicle_options = {name: options.pop(name) for name in ("secondaries", "config", "wrap", "partial", "boot") if name in options}
        self.network = kind.make_network()
        self.backend = Backend(os.path.join(self.folder, "backend"), ostree=images.repo, network=self.network and self.network.path, **options)
        self.vehicle = kind(self.backend, images, os.path.join(self.folder, "vehicle"), network=self.network, **vehicle_options)
        self.director = self.vehicle.director
        self.release = 1

    def publish_commit(self, version, **custom):
        """(name, target) of an OSTree image for the Primary."""
        name = "os-" + version
        return name, self.backend.add_commit(name, self.images.commit(version), [self.vehicle.HARDWARE_ID], **custom)

    def publish_firmware(self, name, data, **options):
        return name, self.backend.add_image(name, data, options.pop("hardware_ids", ["test-mcu"]), **options)

    def assign(self, primary=None, firmware=None, **options):
        """primary and firmware: (name, target); the firmware goes to the first Secondary."""
        v, list_ = self.vehicle, []
        if primary:
            list_.append((*primary, v.serial, v.HARDWARE_ID, None))
        if firmware:
            list_.append((*firmware, v.secondaries[0].serial, "test-mcu", None))
        return self.director.assign(list_, **options)

    def update_firmware(self, data=None):
        """A whole good update of the first Secondary: after whatever went wrong before, this must work."""
        self.release += 1
        data = data or b"good firmware %d\n" % self.release * 100
        self.assign(firmware=self.publish_firmware("good-%d.bin" % self.release, data))
        self.vehicle.check()
        self.vehicle.wait_state("idle")
        assert self.vehicle.secondaries[0].content() == data, self.vehicle.log("uptaned")[-3000:]

    def close(self):
        self.vehicle.close()
        self.backend.stop()
        if self.network:
            self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def skip_without_vehicle():
    if os.geteuid() != 0:
        pytest.skip("needs root: a vehicle lives in its own mount namespace")
    if not os.path.exists(os.path.join(BUILD, "daemon/uptaned/uptaned")):
        pytest.skip("the programs are not built")


@pytest.fixture
def world(images, request):
    """Options of the world come from @pytest.mark.world(...)."""
    skip_without_vehicle()
    marker = request.node.get_closest_marker("world")
    w = World(images, **(marker.kwargs if marker else {}))
    try:
        yield w
        if os.environ.get("SHOW_LOGS"):
            for name in sorted(os.listdir(w.vehicle.path("log"))):
                print("---- %s ----\n%s" % (name, w.vehicle.log(name)[-6000:]))
    finally:
        w.close()


def pytest_configure(config):
    config.addinivalue_line("markers", "world(...): options of the back-end and the vehicle")
