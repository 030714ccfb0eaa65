# SPDX-License-Identifier: Apache-2.0
"""A machine made of systemd-nspawn: its disk is an OSTree sysroot, its boot loader reads the sysroot's boot entries.

Needs root. What runs in it is seen from outside: its journal, its system bus, its processes. It is never killed from
outside by the process of nspawn, which would leave the container behind, but by its PID 1.
"""
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import uuid

from remote import wait_for

REBOOT_STATUS = 133
PROGRAMS = ("systemd-nspawn", "nsenter", "unshare", "ip", "journalctl")


class BootFailure(AssertionError):
    pass


class Network:
    """A network of its own, with a loopback interface and nothing else; it ends with whoever made it, too."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"up\n":
            raise AssertionError("a network namespace cannot be made here")
        self.path = "/proc/%d/ns/net" % self.process.pid

    def add_address(self, address):
        """It is this network's, too, and whoever listens there is reached."""
        subprocess.run(["nsenter", "--net=" + self.path, "ip", "address", "add", address + "/32", "dev", "lo"], check=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Entry:
    """One entry of the boot loader."""

    def __init__(self, sysroot, path):
        with open(path, encoding="utf-8") as f:
            fields = dict(line.rstrip("\n").split(" ", 1) for line in f if " " in line)
        self.version = int(fields["version"])
        link = re.search(r"(?:^|\s)ostree=(\S+)", fields["options"]).group(1)
        self.deployment = os.path.realpath(sysroot + link)
        self.commit = os.path.basename(self.deployment).split(".")[0]
        self.stateroot = os.path.dirname(os.path.dirname(self.deployment))


class Machine:
    def __init__(self, sysroot, network, folder):
        self.sysroot, self.network, self.folder = os.path.realpath(sysroot), network, folder
        self.process = None
        self.leader = None  # its PID 1, as seen from outside
        self.booted = None  # an Entry
        self.boots = 0
        self.console = ""  # of all boots
        with open(os.path.join(folder, "ostree-booted"), "w", encoding="utf-8"):
            pass

    # the boot loader

    def entries(self):
        """Those of the sysroot, the one that boots first in front."""
        folder = os.path.join(self.sysroot, "boot/loader/entries")
        entries = [Entry(self.sysroot, os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".conf")]
        return sorted(entries, key=lambda entry: -entry.version)

    def boot_counted(self, tries=3):
        """As a boot loader that counts: so many failed boots of the first entry, and it takes the second."""
        for _ in range(tries):
            try:
                return self.boot()
            except BootFailure:
                pass
        return self.boot(1)

    # its life

    def _command(self, entry):
        with open(os.path.join(self.folder, "boot-id"), "w", encoding="utf-8") as f:
            f.write("%s\n" % uuid.uuid4())
        # norbind: the container's root lies in the sysroot, and what is mounted there is not to be seen twice
        binds = ["--bind=%s:/sysroot:norbind" % self.sysroot, "--bind=%s/var:/var" % entry.stateroot, "--bind=%s/boot:/boot" % self.sysroot,
                 "--bind-ro=%s:/run/ostree-booted" % os.path.join(self.folder, "ostree-booted"),
                 "--bind-ro=%s:/run/test-boot-id" % os.path.join(self.folder, "boot-id"), "--bind-ro=%s/usr:/usr" % entry.deployment]
        # bpf: IPAddressDeny= of units is a program that systemd loads
        return ["systemd-nspawn", "--quiet", "--boot", "--directory=" + entry.deployment, "--machine=uptaned-test", "--register=no", "--keep-unit",
                "--notify-ready=yes", "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--suppress-sync=yes",
                "--console=interactive", "--system-call-filter=bpf", "--network-namespace-path=" + self.network.path, *binds]

    def boot(self, number=0, seconds=60):
        """Boots this entry; returns when its start is complete. BootFailure if it ended before."""
        assert self.process is None
        entry = self.entries()[number]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(self.folder, "notify")
        if os.path.exists(path):
            os.unlink(path)
        notify.bind(path)
        notify.setblocking(False)
        environment = dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", SYSTEMD_NSPAWN_LOCK="0", NOTIFY_SOCKET=path)
        ours, its = os.openpty()
        self.process = subprocess.Popen(self._command(entry), stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True)
        os.close(its)
        self.reader = threading.Thread(target=self._read_console, args=(ours,), daemon=True)
        self.reader.start()
        self.booted = entry
        self.boots += 1
        with notify:
            self._wait_up(notify, seconds)
        return self

    def _read_console(self, terminal):
        try:
            while data := os.read(terminal, 65536):
                self.console += data.decode(errors="replace")
        except OSError:
            pass  # its last user is gone
        os.close(terminal)

    def _wait_up(self, notify, seconds):
        self.leader = None

        def is_up():
            if select.select([notify], [], [], 0.02)[0]:
                words = notify.recv(4096).decode().split("\n")
                self.leader = next((int(w.split("=")[1]) for w in words if w.startswith("X_NSPAWN_LEADER_PID=")), self.leader)
                return "READY=1" in words
            if self.process.poll() is not None:
                self._ended()
                raise BootFailure("the machine went down while it started: " + self.console[-2000:])
            return False
        wait_for(is_up, lambda: "the start of the machine; " + self.console[-2000:], seconds, pause=0)

    def _ended(self):
        self.process.wait()
        self.reader.join()
        self.process = self.leader = None

    def is_down(self):
        return self.process is None or self.process.poll() is not None

    def wait_reboot(self, seconds=90):
        """Until it went down by itself, for a reboot."""
        wait_for(self.is_down, lambda: "a reboot; " + self.journal_text()[-3000:], seconds)
        status = self.process.returncode
        self._ended()
        assert status == REBOOT_STATUS, "the machine ended with status %d\n%s" % (status, self.console[-2000:])

    def reboot(self):
        """An ordinary one, by whoever turns the key."""
        self.run("systemctl", "reboot", "--no-block")
        self.wait_reboot()

    def power_off(self, seconds=60):
        self.run("systemctl", "poweroff", "--no-block", check=False)
        wait_for(self.is_down, lambda: "power off; " + self.console[-2000:], seconds)
        self._ended()

    def power_cut(self):
        """Everything in it is dead at once."""
        os.kill(self.leader, signal.SIGKILL)
        wait_for(self.is_down, "the end of the container", 30)
        self._ended()

    def close(self):
        if self.process is None:
            return
        if self.is_down():
            self._ended()
        elif self.leader is None:  # not even started: nspawn takes it along
            self.process.terminate()
            self._ended()
        else:
            self.power_cut()

    # what is seen of it

    def command(self, *command):
        """What runs a command in it, as root."""
        return ["nsenter", "--target=%d" % self.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wd=/",
                "env", "-i", "PATH=/usr/sbin:/usr/bin", *command]

    def run(self, *command, check=True, timeout=60):
        result = subprocess.run(self.command(*command), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        if check:
            assert result.returncode == 0, "%s: status %d\n%s" % (" ".join(command), result.returncode, result.stdout + result.stderr)
        return result

    def root(self, path):
        """Where a file of it is found from outside while it runs."""
        return "/proc/%d/root%s" % (self.leader, path)

    def journal(self, *matches):
        """Its entries of all boots, as dictionaries."""
        folder = os.path.join(self.entries()[0].stateroot, "var/log/journal")
        if not os.path.isdir(folder):
            return []
        lines = subprocess.run(["journalctl", "--directory=" + folder, "--output=json", "--no-pager", "--quiet", *matches], capture_output=True,
                               text=True, check=True).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def journal_text(self, *matches):
        return "\n".join("%s[%s]: %s" % (e.get("SYSLOG_IDENTIFIER"), e.get("_PID"), e.get("MESSAGE")) for e in self.journal(*matches))
