# SPDX-License-Identifier: Apache-2.0
"""A test vehicle: the real programs, in a mount and PID namespace whose root is an OSTree deployment.

The programs are taken from $BUILD_DIR (default: build/ below the project). Needs root. Everything of a vehicle lives in
its folder below /tmp, which is seen inside and outside at the same place.
"""
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import uuid

import images
from remote import Remote, Timeout, wait_for  # noqa: F401  # for those who import them from here
from uboot import UBoot

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build")))

HELPERS = ("fetch", "verify", "ostree", "health", "secondary-ip", "exec")

BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true"/><allow receive_type="method_call"/><allow receive_type="signal"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow eavesdrop="false"/></policy></busconfig>
"""


given = set()


def free_port():
    """None that was given before, none that a connection gets by itself, and rarely one that a test beside this one looks at."""
    first = 10240 + os.getpid() % 22 * 1000
    for port in random.sample(range(first, first + 1000), 1000):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
    raise AssertionError("no port is free from %d on" % first)


class Secondary:
    def __init__(self, vehicle, label, hardware_id, settings):
        self.label, self.hardware_id = label, hardware_id
        self.serial = "%s-%s" % (vehicle.device_id, label)
        self.folder = os.path.join(vehicle.folder, label)
        self.host, self.port = "127.0.0.1", free_port()
        self.settings = settings  # more lines of secondary.conf
        self.primary_settings = {}  # more lines of its section in uptaned.conf
        self.firmware = os.path.join(self.folder, "firmware.bin")
        self.config = os.path.join(self.folder, "secondary.conf")

    def address(self):
        return "%s:%d" % (self.host, self.port)

    def prepare(self, roots):
        os.makedirs(os.path.join(self.folder, "state"), exist_ok=True)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write("[secondary]\nserial = %s\nhardware-id = %s\nlisten = %s\nstate-directory = %s/state\nroot-directory = %s\n"
                    "install = %s\n" % (self.serial, self.hardware_id, self.address(), self.folder, roots, self.firmware))
            f.writelines("%s = %s\n" % setting for setting in self.settings.items())

    def content(self):
        """The firmware it runs, or None."""
        try:
            with open(self.firmware, "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None


class Vehicle(Remote):
    """boot() it, do things to it, close() it."""

    HARDWARE_ID = "test-board"

    def __init__(self, backend, all_images, folder, secondaries=1, config="", device_id="vehicle-1", build=BUILD, wrap=None,
                 partial=(), network=None, boot="none"):
        assert network is None
        self.backend, self.images, self.folder, self.device_id, self.build = backend, all_images, folder, device_id, build
        self.extra_config, self.wrap, self.boot_driver = config.replace("@FOLDER@", folder), wrap or {}, boot
        self.uboot = UBoot(os.path.join(folder, "uboot"), bootcount=0, upgrade_available=0)
        self.sysroot = os.path.join(folder, "sysroot")
        self.serial = device_id + "-primary"
        self.process = None
        self.boots = 0
        self.networks = {}  # names of the services that live in a network of their own -> the file of that namespace
        self.services = {}  # more of them, started before ours: name -> as in _plan()
        os.makedirs(folder, exist_ok=True)
        for name in ("state", "sockets", "credentials", "roots", "log", "root", "handlers", "exec-state", "health.d"):
            os.makedirs(self.path(name), exist_ok=True)
        self.factory_commit = all_images.make_sysroot(self.sysroot, "1")
        backend.authority.device(device_id, self.path("credentials"))
        self._ship_roots()
        labels = ["secondary%d" % (i + 1) for i in range(secondaries)]
        self.secondaries = [Secondary(self, label, "test-mcu", {"verification": "partial"} if label in partial else {}) for label in labels]
        for secondary in self.secondaries:
            secondary.prepare(self.path("roots"))
            secondary.primary_settings = dict(secondary.settings, address=secondary.address())
        self.write_config()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @staticmethod
    def make_network():
        """None: it lives in that of its tests."""
        return None

    @property
    def director(self):
        return self.backend.vehicle(self.device_id)

    # what is in its folder

    def _ship_roots(self):
        for name, repository in (("director", self.director.repository), ("image", self.backend.image)):
            with open(self.path("roots", name + ".root.json"), "wb") as f:
                f.write(repository.files["1.root.json"])

    def write_config(self):
        lines = [
            "[server]", "url = " + self.backend.url, "[primary]", "serial = " + self.serial, "hardware-id = " + self.HARDWARE_ID,
            "device-id = " + self.device_id, "[update]", "poll-interval = 3600", "jitter = 0", "[timeouts]", "metadata = 10", "image = 10",
            "secondary = 5", "install = 60", "[paths]", "state-directory = " + self.path("state"), "root-directory = " + self.path("roots"),
        ]
        lines += ["%s-socket = %s.sock" % (name, self.path("sockets", name)) for name in HELPERS]
        for secondary in self.secondaries:
            lines += ["[secondary %s]" % secondary.label, *("%s = %s" % setting for setting in secondary.primary_settings.items())]
        with open(self.path("uptaned.conf"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        os.makedirs(self.path("uptaned.conf.d"), exist_ok=True)
        with open(self.path("uptaned.conf.d", "test.conf"), "w", encoding="utf-8") as f:
            f.write(self.extra_config)

    def _program(self, folder, name, *arguments):
        """wrap: other programs in the place of ours, by name."""
        return [*self.wrap.get(name, ["/run/build/daemon/%s/%s" % (folder, name)]), *arguments]

    def _helper(self, name, folder, program, *arguments, **extra):
        path = self.path("sockets", name + ".sock")
        environment = ["-E", "CREDENTIALS_DIRECTORY=" + self.path("credentials"), "-E", "LSAN_OPTIONS=detect_leaks=0",
                       "-E", "STATE_DIRECTORY=" + self.path("exec-state"), "-E", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + self.path("bus")]
        environment += [word for item in extra.items() for word in ("-E", "%s=%s" % item)]
        return {
            "command": ["systemd-socket-activate", "--accept", "-l", path, *environment, *self._program(folder, program, *arguments)],
            "wait_for": path, "log": self.path("log", program), "restart": True,
        }

    def _plan(self, deployment):
        services = {
            "bus": {"command": ["dbus-daemon", "--nofork", "--nopidfile", "--config-file=" + self.path("bus.conf")],
                    "wait_for": self.path("bus"), "log": self.path("log", "bus")},
            "logind": {"command": ["/usr/bin/python3", self.path("logind.py"), self.path("control")], "log": self.path("log", "logind")},
            "fetch": self._helper("fetch", "fetch", "uptane-fetch"),
            "verify": self._helper("verify", "verify", "uptane-verify"),
            "systemd1": {"command": ["/usr/bin/python3", self.path("systemd1.py"), self.path("systemd1.json")],
                         "log": self.path("log", "systemd1")},
            "ostree": self._helper("ostree", "ostree", "uptane-ostree", "--no-stage", "--boot=" + self.boot_driver, PATH=self.uboot.path()),
            "health": self._helper("health", "health", "uptane-health", "--folder=" + self.path("health.d"),
                                   DBUS_SYSTEM_BUS_ADDRESS="unix:path=" + self.path("bus")),
            "secondary-ip": self._helper("secondary-ip", "secondary-ip", "uptane-secondary-ip"),
            "exec": self._helper("exec", "exec", "uptane-exec", "--handlers=" + self.path("handlers")),
            "uptaned": {"command": self._program("uptaned", "uptaned", "--config", self.path("uptaned.conf")), "restart": True,
                        "log": self.path("log", "uptaned"), "environment": {"NOTIFY_SOCKET": self.path("notify")}},
        }
        for s in self.secondaries:
            services[s.label] = {"command": self._program("secondary", "uptane-secondary", "--config", s.config),
                                 "log": self.path("log", s.label), "restart": True, "wait_port": s.port}
        for name, network in self.networks.items():
            services[name]["network"] = network
        services.update(self.services)
        order = ["bus", "logind", "systemd1", *self.services, *HELPERS, *[s.label for s in self.secondaries], "uptaned"]
        return {
            "mount_point": self.path("root"), "sysroot": self.sysroot, "deployment": deployment, "build": self.build,
            "var": os.path.join(self.sysroot, "ostree/deploy", images.OS_NAME, "var"), "boot_id": self.path("boot_id"),
            "control": self.path("control"), "services": services, "order": order,
            "environment": {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + self.path("bus"), "REBOOT_REFUSED": self.path("reboot-refused"), "REBOOT_SLOW": self.path("reboot-slow"),
                            "PATH": os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")},
        }

    # its life

    def boot(self, deployment=0, wait=True):
        """Boots what is deployed; deployment 1 is what a boot loader falls back to."""
        assert self.process is None
        for name in ("control", "bus", "notify", *["sockets/%s.sock" % helper for helper in HELPERS]):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        with open(self.path("boot_id"), "w", encoding="utf-8") as f:
            f.write(str(uuid.uuid4()) + "\n")
        with open(self.path("bus.conf"), "w", encoding="utf-8") as f:
            f.write(BUS_CONF % self.path("bus"))
        for name in ("logind.py", "systemd1.py", "vehicle_init.py"):
            with open(os.path.join(HERE, name), encoding="utf-8") as f, open(self.path(name), "w", encoding="utf-8") as g:
                g.write(f.read())
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path("notify"))
        self.notifications = []
        threading.Thread(target=self._read_notifications, args=(self.notify, self.notifications), daemon=True).start()
        path, self.booted_commit = images.deployments(self.sysroot)[deployment]
        with open(self.path("plan.json"), "w", encoding="utf-8") as f:
            json.dump(self._plan(path), f)
        self.boots += 1
        with open(self.path("log", "init"), "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private", "/usr/bin/python3",
                 self.path("vehicle_init.py"), self.path("plan.json")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    @staticmethod
    def _read_notifications(notify, lines):
        """As the service manager does: nobody who tells something is made to wait."""
        try:
            while True:
                lines += notify.recv(4096).decode().split("\n")
        except OSError:
            pass

    def boot_by_uboot(self):
        """Boots what a boot script that knows the variables would, which gets new software three tries."""
        values = self.uboot.values()
        if values.get("upgrade_available") == "1":
            count = int(values["bootcount"]) + 1
            self.uboot.set(**({"rollback": 1, "upgrade_available": 0} if count > 3 else {"bootcount": count}))
        fallback = self.uboot.values().get("rollback") == "1"
        return self.boot(deployment=1 if fallback and len(images.deployments(self.sysroot)) > 1 else 0)

    def add_check(self, name, script):
        """A health check; None takes it away."""
        path = self.path("health.d", name)
        if script is None:
            os.unlink(path)
            return
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n%s\n" % script)

    def wait_ready(self, seconds=60):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("the vehicle ended: " + self.log("init")[-2000:])
            return "READY=1" in self.notifications
        wait_for(ready, lambda: "READY; the daemon says: " + self.log("uptaned")[-2000:], seconds)
        self.notifications.clear()

    def control(self, *words):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path("control"))
            s.sendall(" ".join(str(word) for word in words).encode())
            answer = s.recv(4096).decode()
        assert not answer.startswith("error"), answer
        return answer

    def kill_daemon(self, sig=signal.SIGKILL, wait=True):
        """The daemon dies at once, and is started again as its unit says."""
        self.notifications.clear()
        self.control("kill", "uptaned", int(sig))
        if wait:
            self.wait_ready()

    def wait_reboot(self, seconds=60):
        """Until it went down for the reboot it asked for."""
        wait_for(lambda: self.process.poll() is not None, lambda: "reboot; state is " + self.state(), seconds)
        assert self.process.returncode == 133, (self.process.returncode, self.log("init")[-2000:])
        self._ended()

    def power_cut(self):
        self.process.kill()
        self.process.wait()
        self._ended()

    def _ended(self):
        self.process = None
        self.notify.shutdown(socket.SHUT_RDWR)
        self.notify.close()

    def close(self):
        if self.process is not None:
            self.power_cut()
        images.remove_tree(self.folder)

    # what it shows

    def bus_address(self):
        return "unix:path=" + self.path("bus")

    def log(self, name):
        try:
            with open(self.path("log", name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def daemon_pid(self, name="uptaned"):
        """As seen from outside."""
        inside = self.control("pid", name)
        init = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True).stdout.split()[0]
        for pid in subprocess.run(["pgrep", "-P", init], capture_output=True, text=True, check=True).stdout.split():
            with open("/proc/%s/status" % pid, encoding="utf-8") as f:
                if ("NSpid:\t%s\t%s\n" % (pid, inside)) in f.read():
                    return int(pid)
        raise AssertionError("the daemon is not there")
