# SPDX-License-Identifier: Apache-2.0
"""uptanectl monitor: bars on a terminal, lines elsewhere."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pytest
from vehicle import wait_for

LABELS = ["vehicle", "primary"] + ["secondary%d" % (i + 1) for i in range(5)]
SLOW = "[limits]\nsecondaries = 200K\n"


class Screen:
    """What a terminal of this size shows, for the few sequences that are used."""

    def __init__(self, rows, columns):
        self.lines, self.rows, self.columns = [""], rows, columns

    def feed(self, text):
        for part in re.split(r"(\x1b\[[0-9;]*[A-Za-z]|\r|\n)", text):
            if part == "\n":
                self.lines.append("")
            elif part.startswith("\x1b[") and part.endswith("A"):
                up = int(part[2:-1])
                assert up < self.rows, "above the top"
                self.lines = self.lines[:len(self.lines) - up]
                self.lines[-1] = ""
            elif part and part != "\r" and not part.startswith("\x1b"):
                self.lines[-1] += part


class Terminal:
    def __init__(self, vehicle, rows, columns):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=vehicle.bus_address(), NO_COLOR="1")
        self.process = subprocess.Popen([os.path.join(vehicle.build, "daemon/uptanectl/uptanectl"), "monitor"], env=environment, stdout=slave,
                                        stdin=subprocess.DEVNULL)
        os.close(slave)
        self.master, self.text = master, ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self.master, 65536):
                self.text += data.decode()
        except OSError:
            pass

    def screens(self, rows, columns):
        """What was to be seen before each clearing, and at last."""
        screen, seen, at = Screen(rows, columns), [], 0
        for match in re.finditer(r"\x1b\[[0-9]+A", self.text):
            screen.feed(self.text[at:match.start()])
            seen.append(list(screen.lines))
            at = match.start()
        screen.feed(self.text[at:])
        return screen, seen + [list(screen.lines)]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def update_all(world, size=200000):
    v = world.vehicle
    target = world.publish_firmware("all.bin", os.urandom(size))[1]
    world.director.assign([("all.bin", target, s.serial, s.hardware_id, None) for s in v.secondaries])
    v.verb("CheckForUpdates")
    wait_for(lambda: all(world.director.installed(s.serial)[0] == "all.bin" for s in v.secondaries) and v.state() == "idle",
             lambda: "the update of all; " + v.log("uptaned")[-1500:], 60)


@pytest.mark.world(secondaries=5, config=SLOW)
def test_on_a_terminal_every_ecu_has_a_bar_that_grows_and_lines_scroll_above(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    terminal = Terminal(v, 40, 100)
    wait_for(lambda: "primary  " in terminal.text and terminal.text.count("secondary5") >= 2, "the first bars")
    update_all(world)
    wait_for(lambda: "UpdateFinished" in terminal.text, "its end")
    screen, seen = terminal.screens(40, 100)
    terminal.close()
    assert [line.split()[0] for line in screen.lines[-len(LABELS) - 1:-1]] == LABELS
    for label in LABELS[2:]:
        bars = [line for lines in seen for line in lines[-len(LABELS) - 1:] if line.startswith(label + " ") and "%" in line]
        percents = [int(re.search(r"(\d+) %", line).group(1)) for line in bars if " prepared " not in line]
        assert any(0 < p < 100 for p in percents), (label, percents)
        for line in bars:
            assert len(line) < 100
            assert re.search(r"\[#*-*\] +\d+ %  \d+ K?i?B of 195 KiB", line), line
    assert not any("ProgressDone" in line for line in screen.lines), "a bar and a line say the same"


@pytest.mark.world(secondaries=5)
def test_a_small_terminal_is_not_written_over(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    terminal = Terminal(v, 5, 50)
    wait_for(lambda: "and 4 more" in terminal.text, "the first bars")
    update_all(world)
    wait_for(lambda: "UpdateFinished" in terminal.text, "its end")
    screen, seen = terminal.screens(5, 50)
    terminal.close()
    for lines in seen:
        assert all(len(line) < 50 for line in lines[-5:] if line.startswith(("primary ", "secondary"))), lines


@pytest.mark.world(secondaries=2, config=SLOW)
def test_elsewhere_the_progress_of_each_ecu_is_lines_and_ecus_shows_it_too(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=v.bus_address())
    with open(v.path("monitor.txt"), "w+", encoding="utf-8") as out:
        monitor = subprocess.Popen([os.path.join(v.build, "daemon/uptanectl/uptanectl"), "monitor"], env=environment, stdout=out)
        try:
            wait_for(lambda: os.path.getsize(v.path("monitor.txt")) > 0, "the status")
            target = world.publish_firmware("all.bin", os.urandom(300000))[1]
            world.director.assign([("all.bin", target, s.serial, s.hardware_id, None) for s in v.secondaries])
            v.verb("CheckForUpdates")
            shown = wait_for(lambda: next((text for text in [v.ctl("ecus").stdout] if re.search(r"progress  [1-9]\d* of 300000 bytes", text)), None),
                             "progress on the command line")
            assert "secondary1" in shown
            v.wait_state("idle")
            wait_for(lambda: world.director.installed(v.secondaries[1].serial)[0] == "all.bin", "the update")
        finally:
            monitor.kill()
            monitor.wait()
        out.seek(0)
        text = out.read()
    assert "\x1b" not in text
    for label in ("secondary1", "secondary2"):
        assert len(re.findall(r"%s +ProgressDone \d+\n" % label, text)) > 2, text
