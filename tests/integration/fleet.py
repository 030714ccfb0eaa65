# SPDX-License-Identifier: Apache-2.0
"""A vehicle with ECUs of all kinds, for tests of updates that are about more than one of them."""
import hashlib
import os

from vehicle import wait_for

HANDLER = """#!/bin/sh
# Memory is a file; the one before is kept. Tells what it does in a log; fails where a file says so.
memory=$UPTANE_OPTION
echo "$(date +%s%N) begin $UPTANE_ECU_SERIAL $UPTANE_ACTION" >> "$memory.log"
say() { echo "$(date +%s%N) end $UPTANE_ECU_SERIAL $UPTANE_ACTION" >> "$memory.log"; echo "{\\"status\\": \\"$1\\"$2}"; exit 0; }
[ ! -e "$memory.fail-$UPTANE_ACTION" ] || say failed ", \\"message\\": \\"told to\\""
case $UPTANE_ACTION in
get-firmware-info)
        [ ! -e "$memory.slow-info" ] || sleep "$(cat "$memory.slow-info")"
        [ -e "$memory" ] || say unknown
        say ok ", \\"sha256\\": \\"$(sha256sum < "$memory" | cut -c -64)\\"" ;;
install)
        [ ! -e "$memory.slow" ] || sleep "$(cat "$memory.slow")"
        [ ! -e "$memory" ] || cp "$memory" "$memory.old"
        [ ! -e "$memory.late" ] || { cat < "$UPTANE_IMAGE_PATH" > "$memory.next"; say need-completion; }
        cat < "$UPTANE_IMAGE_PATH" > "$memory.new" && mv "$memory.new" "$memory"
        [ ! -e "$memory.fail-behind" ] || say failed ", \\"message\\": \\"behind\\""
        say ok ;;
complete-install)
        [ ! -e "$memory.next" ] || mv "$memory.next" "$memory"
        say ok ;;
rollback)
        rm -f "$memory.next"
        [ ! -e "$memory.old" ] || cp "$memory.old" "$memory"
        say ok ;;
esac
exit 65
"""


def handler_section(label, order=0):
    return ("[secondary %s]\ndriver = exec\nhandler = @FOLDER@/handlers/handler\nhandler-option = @FOLDER@/%s\nhardware-id = test-mcu\n"
            "serial = ser-%s\norder = %d\n" % (label, label, label, order))


TOY = "[secondary toy]\ndriver = virtual\nhardware-id = test-mcu\nserial = ser-toy\n"
QUICK = "[update]\npoll-interval = 1\n"
MIXED = QUICK + handler_section("mcu") + handler_section("last", 9) + TOY


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Fleet:
    """A world whose vehicle has ECUs of all kinds."""

    def __init__(self, world):
        self.world, self.vehicle, self.director = world, world.vehicle, world.director
        path = self.vehicle.path("handlers", "handler")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="utf-8") as f:
            f.write(HANDLER)
        self.ip = [s.serial for s in self.vehicle.secondaries]
        self.handlers = [s[len("serial = ser-"):] for s in self.vehicle.extra_config.split("\n") if s.startswith("serial = ser-")]
        self.virtual = [label for label in self.handlers if "toy" in label]
        self.handlers = [label for label in self.handlers if label not in self.virtual]
        self.serials = self.ip + ["ser-" + label for label in self.handlers + self.virtual]
        self.release = 0

    def assign(self, primary=None, size=3000):
        """New firmware for every Secondary, and perhaps the Primary. Returns its content."""
        self.release += 1
        name, data = "all-%d.bin" % self.release, (b"release %d\n" % self.release) * (size // 10)
        entry = self.world.publish_firmware(name, data)
        list_ = [(*entry, serial, "test-mcu", None) for serial in self.serials]
        if primary:
            list_.insert(0, (*self.world.publish_commit(primary), self.vehicle.serial, self.vehicle.HARDWARE_ID, None))
        self.director.closes = True
        self.correlation = self.director.assign(list_)
        return data

    def memory(self, label):
        try:
            with open(self.vehicle.path(label), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def touch(self, label, suffix, text=""):
        with open(self.vehicle.path(label) + "." + suffix, "w", encoding="utf-8") as f:
            f.write(text)

    def log(self, label, action=None):
        """[(time, begin or end, action)]"""
        try:
            with open(self.vehicle.path(label) + ".log", encoding="utf-8") as f:
                lines = [line.split() for line in f]
        except FileNotFoundError:
            return []
        return [(int(time_), what, did) for time_, what, _, did in lines if action in (None, did)]

    def all_run(self, data):
        return (all(s.content() == data for s in self.vehicle.secondaries) and all(self.memory(label) == data for label in self.handlers)
                and all(self.director.installed(serial)[1] == sha256(data) for serial in self.serials))

    def report(self):
        """The one report of this update, by serial; the vehicle's result under None."""
        reports = [r for r in self.director.reports() if r["correlation_id"] == self.correlation]
        if not reports:
            return None
        assert len({str(r) for r in reports}) == 1
        found = {item["ecu"]: item["result"] for item in reports[0]["items"]}
        found[None] = reports[0]["result"]
        return found

    def wait_report(self, seconds=60):
        report = wait_for(self.report, lambda: "a report; %s %s" % (self.vehicle.state(), self.vehicle.log("uptaned")[-3000:]), seconds)
        self.vehicle.wait_state("idle")
        return report

    def start(self):
        self.vehicle.boot()
        self.vehicle.wait_state("idle")

    def update(self, seconds=60, **options):
        """A whole good update, without the Primary."""
        data = self.assign(**options)
        report = self.wait_report(seconds)
        assert all(result["success"] for result in report.values()), report
        wait_for(lambda: self.all_run(data), lambda: "what all report; " + self.vehicle.log("uptaned")[-2000:])  # one may have died at that very question
        self.vehicle.wait_state("idle")
        assert not self.director.refused
        return data
