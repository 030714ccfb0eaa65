# SPDX-License-Identifier: Apache-2.0
"""QEMU without hardware help (TCG). From outside a machine is switched on and off, nothing else: what it boots is its own affair.

It is seen through a line to a shell in it (images.AGENT) and through its console, on which U-Boot writes, too.
"""
import base64
import os
import queue
import shlex
import socket
import subprocess
import threading

from remote import wait_for

from vm.images import BACKEND_ADDRESS, BUSYBOX

BACKEND_PORT = 443
# Without what is quick in hardware and slow where it is emulated: string instructions that go byte by byte, wide vectors, checks of
# the kernel's accesses. With images.QUICK about half the time of what copies or starts programs.
CPU = "max,-erms,-fsrm,-avx,-avx2,-la57,-smap,-smep,-pku"
UP_SECONDS = 900  # of several tries, on a loaded machine


class Rebooted(AssertionError):
    pass


class Machine:
    def __init__(self, disk, backend_port, folder, firmware):
        self.disk, self.backend_port, self.folder, self.firmware = disk, backend_port, folder, firmware
        self.process = self.line = None
        self.recording = None  # where QEMU writes all that the next machine writes to its disk (writes.py)
        self.came_up = []  # commits, one for each boot that came far enough to take commands
        self.answers = queue.Queue()

    @property
    def boots(self):
        return len(self.came_up)

    def _disk(self):
        """Nothing is flushed: what ends is the machine, not the one that emulates it."""
        if not self.recording:
            return "driver=raw,node-name=disk,cache.no-flush=on,file.driver=file,file.filename=%s,file.cache.no-flush=on" % self.disk
        return ("driver=blklogwrites,node-name=disk,log-sector-size=512,file.driver=file,file.filename=%s,file.cache.no-flush=on,"
                "log.driver=file,log.filename=%s,log.cache.no-flush=on" % (self.disk, self.recording))

    def _command(self, control):
        # setpriv: whatever ends us ends it. restrict: it reaches the back-end and nothing else
        backend = "guestfwd=tcp:%s:%d-cmd:%s nc 127.0.0.1 %d" % (BACKEND_ADDRESS, BACKEND_PORT, BUSYBOX, self.backend_port)
        return ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi",
                "-cpu", CPU, "-smp", "2", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", *self.firmware,
                "-chardev", "file,id=console,append=on,path=" + os.path.join(self.folder, "console"), "-serial", "chardev:console",
                "-blockdev", self._disk(), "-device", "virtio-blk-pci,drive=disk,bootindex=0",
                "-device", "virtio-serial-pci", "-chardev", "socket,id=control,path=%s,server=on,wait=off" % control,
                "-device", "virtserialport,chardev=control,name=control", "-device", "virtio-rng-pci",
                "-netdev", "user,id=net,restrict=on," + backend, "-device", "virtio-net-pci,netdev=net,romfile="]

    def boot(self):
        """Switched on; returns when it takes commands."""
        control = os.path.join(self.folder, "control")
        number = self.boots + 1
        with open(os.path.join(self.folder, "qemu-says"), "wb") as words:
            self.process = subprocess.Popen(self._command(control), stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        self.line = socket.socket(socket.AF_UNIX)
        wait_for(lambda: self.line.connect_ex(control) == 0 or self.process.poll() is not None, "QEMU")
        assert self.process.poll() is None, "QEMU ended; " + self._text("qemu-says")
        threading.Thread(target=self._read, args=(self.line.makefile("r", encoding="utf-8"),), daemon=True).start()
        self.wait_boot(number)

    def _read(self, line):
        for text in line:
            if text.startswith("up "):
                self.came_up.append(text.split()[1])
            if text != "\n":
                self.answers.put(text)

    def wait_boot(self, number, seconds=UP_SECONDS):
        """Until it has come up this often."""
        wait_for(lambda: self.boots >= number or self.process.poll() is not None,
                 lambda: "boot %d of the machine; %s" % (number, self.console()[-2500:]), seconds, pause=0.2)
        assert self.process.poll() is None, "QEMU ended; " + self._text("qemu-says") + self.console()[-2500:]

    def _text(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def console(self):
        return self._text("console")

    def starts(self):
        """How often U-Boot has begun, whatever came of it."""
        return self.console().count("boot.cmd: bootcount=")

    def run(self, *command, check=True, timeout=60):
        while not self.answers.empty():
            self.answers.get()
        self.line.sendall(shlex.join(command).encode() + b"\n")
        try:
            answer = self.answers.get(timeout=timeout)
        except queue.Empty as e:
            raise AssertionError("%s: no answer in %d s" % (" ".join(command), timeout)) from e
        if answer.startswith("up "):
            raise Rebooted(" ".join(command))
        status, _, output = answer.partition(" ")
        result = subprocess.CompletedProcess(command, int(status), base64.b64decode(output).decode(errors="replace"), "")
        assert not check or result.returncode == 0, "%s: status %d\n%s" % (" ".join(command), result.returncode, result.stdout)
        return result

    def reboot(self):
        """An ordinary one, by whoever turns the key."""
        boots = self.boots
        self.line.sendall(b"systemctl reboot\n")
        self.wait_boot(boots + 1)

    def journal_text(self, *matches):
        return self.run("journalctl", "--no-pager", "--quiet", "--output=short-monotonic", *matches, check=False).stdout

    def power_off(self):
        """As the user switches it off."""
        self.line.sendall(b"systemctl poweroff\n")
        wait_for(lambda: self.process.poll() is not None, lambda: "power off; " + self.console()[-2500:], UP_SECONDS)
        self._ended()

    def power_cut(self):
        """It is dead at once: what it has written is on the disk, what it was about to write is not."""
        self.process.kill()
        self._ended()

    def _ended(self):
        self.process.wait()
        self.line.close()
        self.process = None

    def close(self):
        if self.process:
            self.process.terminate()
            self._ended()
