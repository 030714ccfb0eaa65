# SPDX-License-Identifier: Apache-2.0
"""A vehicle on an emulated machine, made at the factory as the one in the container is."""
import json

from backend.pki import ELSEWHERE
from container.vehicle import ContainerVehicle

from vm import disk
from vm.machine import Machine


class VmVehicle(ContainerVehicle):
    def make_machine(self, network):
        return Machine(disk.make(self.sysroot, self.folder, self.images.loader), self.backend.port, self.folder, self.images.loader.FIRMWARE)

    @staticmethod
    def make_network():
        return None

    @property
    def url(self):
        return "https://" + ELSEWHERE

    @property
    def booted_commit(self):
        """As libostree says it."""
        line = next(line for line in self.status().splitlines() if line.startswith("* "))
        return line.split()[2].split(".")[0]

    def property(self, name, path="/org/uptane/Primary1", interface="org.uptane.Primary1"):
        result = self.machine.run("busctl", "--json=short", "get-property", "org.uptane.Primary1", path, interface, name, check=False)
        return json.loads(result.stdout)["data"] if result.returncode == 0 else "(%s)" % result.stdout

    def state(self):
        return self.property("State")

    def boot_variables(self):
        lines = self.machine.run("fw_printenv").stdout.split()
        return dict(line.split("=", 1) for line in lines)
