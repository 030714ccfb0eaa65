# SPDX-License-Identifier: Apache-2.0
"""A vehicle as it comes from the factory: a machine whose image holds our programs and units, with the vehicle's own
credentials, Roots and configuration in its /etc. Nothing of ours runs in it but what its units start.

Its Secondary is uptane-secondary.service of the same image, on the same machine.
"""
import glob
import json
import os
import subprocess

import images
from container.machine import Machine, Network
from remote import Remote


class Secondary:
    """The one that listens in the vehicle."""

    HARDWARE_ID, ADDRESS = "test-mcu", "127.0.0.1:9050"

    def __init__(self, vehicle):
        self.vehicle = vehicle
        self.serial = vehicle.device_id + "-secondary1"

    def config(self):
        return "[secondary]\nserial = %s\nhardware-id = %s\nlisten = %s\nroot-directory = /etc/uptane\ninstall = %s\n" % (
            self.serial, self.HARDWARE_ID, self.ADDRESS, "/var/lib/uptane-secondary/firmware.bin")

    def content(self):
        """The firmware it runs, or None."""
        try:
            with open(os.path.join(self.vehicle.var(), "lib/private/uptane-secondary/firmware.bin"), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None


class ContainerVehicle(Remote):
    HARDWARE_ID = "test-board"

    def __init__(self, backend, all_images, folder, network, secondaries=1, config="", device_id="vehicle-1"):
        assert secondaries in (0, 1)
        self.backend, self.images, self.folder, self.device_id, self.build = backend, all_images, folder, device_id, all_images.build
        self.serial = device_id + "-primary"
        self.sysroot = os.path.join(folder, "sysroot")
        self.secondaries = [Secondary(self) for _ in range(secondaries)]
        os.makedirs(folder)
        self.factory_commit = all_images.make_sysroot(self.sysroot, "1")
        self._provision(os.path.join(images.deployments(self.sysroot)[0][0], "etc"), config)
        self.machine = self.make_machine(network)

    def make_machine(self, network):
        return Machine(self.sysroot, network, self.folder)

    @property
    def url(self):
        """Where the vehicle finds the back-end."""
        return self.backend.url

    @staticmethod
    def make_network():
        return Network()

    @property
    def director(self):
        return self.backend.vehicle(self.device_id)

    def var(self):
        return os.path.join(self.sysroot, "ostree/deploy", images.OS_NAME, "var")

    # the factory

    def _provision(self, etc, config):
        folder = os.path.join(etc, "uptane")
        self.backend.authority.device(self.device_id, folder)
        for name, repository in (("director", self.director.repository), ("image", self.backend.image)):
            with open(os.path.join(folder, name + ".root.json"), "wb") as f:
                f.write(repository.files["1.root.json"])
        files = {"uptaned.conf": self._config(), "uptaned.conf.d/50-test.conf": config}
        if self.secondaries:
            files["secondary.conf"] = self.secondaries[0].config()
            os.symlink("/lib/systemd/system/uptane-secondary.service",
                       os.path.join(etc, "systemd/system/multi-user.target.wants/uptane-secondary.service"))
        os.makedirs(os.path.join(folder, "uptaned.conf.d"))
        files["factory-image.json"] = json.dumps({"filepath": "os-factory",
                                                  "fileinfo": {"length": 0, "hashes": {"sha256": self.factory_commit}}})
        for name, text in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)

    def _config(self):
        lines = ["[server]", "url = " + self.url, "[primary]", "serial = " + self.serial, "hardware-id = " + self.HARDWARE_ID,
                 "device-id = " + self.device_id, "[update]", "poll-interval = 3600", "jitter = 0", "[timeouts]", "secondary = 5",
                 "[paths]", "root-directory = /etc/uptane"]
        if self.secondaries:
            lines += ["[secondary secondary1]", "address = " + Secondary.ADDRESS]
        return "\n".join(lines) + "\n"

    # its life

    def boot(self, number=0):
        """Boots this entry of the boot loader; returns when everything in it has been started."""
        self.machine.boot(number)
        return self

    def close(self):
        self.machine.close()
        deployments = glob.glob(os.path.join(self.sysroot, "ostree/deploy/*/deploy/*.[0-9]"))
        subprocess.run(["chattr", "-f", "-i", *deployments], check=False)
        subprocess.run(["rm", "-rf", self.folder], check=True)

    # what it shows

    def bus_address(self):
        return "unix:path=" + self.machine.root("/run/dbus/system_bus_socket")

    def ctl(self, *arguments, timeout=30):
        return self.machine.run("uptanectl", *arguments, check=False, timeout=timeout)

    @property
    def booted_commit(self):
        return self.machine.booted.commit

    def log(self, name="uptaned"):
        return self.machine.journal_text("SYSLOG_IDENTIFIER=" + name)

    def status(self):
        """ostree admin status, as the vehicle itself says it."""
        return self.machine.run("ostree", "admin", "status").stdout

    def exposure(self, unit):
        """What systemd-analyze security says of the loaded unit (an instance of it): 0 is tight, 10 is open."""
        out = self.machine.run("systemd-analyze", "security", "--no-pager", unit.replace("@.", "@test.")).stdout
        return float(out.rsplit("exposure level for", 1)[1].split(":", 1)[1].split()[0])

    def processes(self):
        """{program: [user of each of its processes]} of what is installed in libexec."""
        found = {}
        for line in self.machine.run("sh", "-c", "stat -c '%U %N' /proc/[0-9]*/exe 2>/dev/null; true").stdout.splitlines():
            if "/libexec/uptane/" in line:
                found.setdefault(line.split("/libexec/uptane/")[1].split("'")[0], []).append(line.split()[0])
        return found


