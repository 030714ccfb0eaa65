# SPDX-License-Identifier: Apache-2.0
"""The demonstration that tests/demo starts: every line with a tick is something that was looked at, not hoped for."""
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

from backend import Backend
from backend.control import Commands, serve
from container import rootfs
from container.images import SystemImages
from container.vehicle import ContainerVehicle
from images import remove_tree
from remote import Timeout, wait_for

BUILD = os.environ["BUILD_DIR"]

TERMINAL = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(code, text):
    return "\033[%sm%s\033[0m" % (code, text) if TERMINAL else text


def step(number, text):
    print("\n%s" % paint("1", "%d. %s" % (number, text)), flush=True)


def seen(text, condition=True):
    """A fact; where it is none, the demonstration has failed."""
    if not condition:
        raise AssertionError("not observed: " + text)
    print("   %s %s" % (paint("32", "✓"), text), flush=True)


def show(text):
    for line in text.rstrip().splitlines():
        print("     %s %s" % (paint("2", "|"), line), flush=True)


class Follower:
    """uptanectl monitor, running beside everything else."""

    def __init__(self, vehicle):
        self.lines = []
        self.process = subprocess.Popen(vehicle.machine.command("uptanectl", "monitor"), text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: self.lines, "the monitor")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def text(self, *words):
        """The lines that tell of these properties, in order."""
        return "\n".join(line for line in self.lines if any("  %s " % word in line for word in words))


def register(world):
    v, director = world["vehicle"], world["vehicle"].director
    step(1, "The Primary registers the two ECUs of this vehicle, and finds nothing to do")
    v.boot()
    v.wait_state("idle")
    seen("systemd has started the daemon, on a vehicle booted into OSTree commit %.12s..." % v.booted_commit)
    for unit in v.images.units:
        level = v.exposure(unit)
        seen("%s is in its sandbox, exposed %.1f of 10" % (unit, level), level <= (6.0 if "ostree" in unit else 2.5 if "health" in unit else 2.0))
    wait_for(lambda: "uptane-ostree" not in v.processes(), "the end of uptane-ostree")
    seen("of our programs none runs as root", all("root" not in users for users in v.processes().values()))
    seen("the Director knows the Primary %s" % v.serial, director.primary == v.serial)
    for ecu in director.ecus.values():
        seen("registered: %s, hardware %s, a key of type %s" % (ecu["ecu_serial"], ecu["hardware_identifier"], ecu["clientKey"]["keytype"]))
    seen("two ECUs, no more", len(director.ecus) == 2)
    v.check()
    asked = [r["path"] for r in world["backend"].requests("^/director/.*json")]
    seen("a poll asked the Director only (%s) and found nothing" % ", ".join(sorted({p.split("/")[-1] for p in asked})),
         v.state() == "idle" and not world["backend"].requests("^/repo/"))
    seen("no error", v.error() == ("", ""))


def publish(world):
    v, backend = world["vehicle"], world["backend"]
    step(2, "The back-end publishes an OSTree commit and a firmware file, and assigns them")
    world["commit"] = world["images"].commit("2")
    world["firmware"] = os.urandom(1500000)
    os_image = backend.add_commit("vehicle-os-2", world["commit"], [v.HARDWARE_ID], version="2")
    mcu_image = backend.add_image("mcu-firmware-7.bin", world["firmware"], ["test-mcu"], version="7")
    world["correlation"] = v.director.assign([
        ("vehicle-os-2", os_image, v.serial, v.HARDWARE_ID, None),
        ("mcu-firmware-7.bin", mcu_image, v.secondaries[0].serial, "test-mcu", None)])
    seen("vehicle-os-2: commit %.12s... for %s" % (world["commit"], v.serial))
    seen("mcu-firmware-7.bin: %d bytes for %s" % (len(world["firmware"]), v.secondaries[0].serial))


def attack(world):
    """One bit of the Director's Timestamp, in the version: what the signature was made over is another document then."""
    v, backend = world["vehicle"], world["backend"]
    step(3, "Somebody on the way changes one bit: the Primary refuses, says why, and touches nothing")
    data = v.director.repository.files["timestamp.json"]
    backend.faults.add("^/director/timestamp.json", "tamper", data.index(b'"version":') + len(b'"version":'))
    v.ctl("check")
    wait_for(lambda: v.error()[0] and v.state() == "idle", "the refusal")
    backend.faults.clear()
    seen("refused as %s: %s" % v.error(), v.error()[0] == "SignatureThreshold")
    seen("nothing was downloaded or installed", not backend.requests("targets/|objects/") and v.secondaries[0].content() is None)
    show("$ uptanectl status\n" + "\n".join(v.ctl("status").stdout.splitlines()[:4]))


def update(world):
    v, backend = world["vehicle"], world["backend"]
    secondary = v.secondaries[0]
    step(4, "The Primary verifies both repositories, installs, and asks for a reboot")
    backend.log.clear()
    follower = Follower(v)
    v.ctl("check")
    v.machine.wait_reboot()
    follower.stop()
    for repository in ("director", "repo"):
        files = [r["path"].split("/")[-1] for r in backend.requests("^/%s/[^/]*json" % repository)]
        seen("%s: %s" % ({"director": "Director", "repo": "Image repository"}[repository], ", ".join(files)),
             "timestamp.json" in files and "snapshot.json" in files and "targets.json" in files)
    log = v.log("uptane-secondary")
    seen("the Secondary verified both repositories by itself", "the metadata of both repositories is verified" in log)
    seen("the Secondary runs the new firmware", "installed 'mcu-firmware-7.bin'" in log and secondary.content() == world["firmware"])
    status = subprocess.run(["ostree", "admin", "--sysroot=" + v.sysroot, "status"], capture_output=True, text=True, check=True).stdout
    seen("the new commit is the next to boot", world["commit"] in status.splitlines()[0])
    show("$ ostree admin status\n" + status)
    followed = follower.text("State", "UpdateOffered", "PendingImage", "InstalledImage")
    seen("uptanectl monitor followed it live", '"downloading"' in followed and '"installing"' in followed and "UpdateOffered" in followed)
    show("$ uptanectl monitor\n" + "\n".join(line[:110] for line in followed.splitlines()))


def reboot(world):
    v = world["vehicle"]
    step(5, "The vehicle reboots into the new deployment, and the Primary finishes the update")
    v.boot()
    seen("/ is the deployment of commit %.12s... now" % v.booted_commit, v.booted_commit == world["commit"])
    v.wait_state("idle")
    wait_for(lambda: v.director.reports(), "the installation report")
    seen("the update is finished, state %s" % v.state(), v.ecu("primary", "InstalledImage") == "vehicle-os-2")


def report(world):
    v = world["vehicle"]
    secondary, director = v.secondaries[0], v.director
    step(6, "The Director has accepted a manifest in which every ECU has signed for itself")
    seen("no manifest was ever refused, %d were accepted" % len(director.manifests), not director.refused)
    seen("%s runs %s, signed with its own key" % (v.serial, director.installed(v.serial)[0]),
         director.installed(v.serial) == ("vehicle-os-2", world["commit"]))
    seen("%s runs %s, signed with its own key" % (secondary.serial, director.installed(secondary.serial)[0]),
         director.installed(secondary.serial) == ("mcu-firmware-7.bin", hashlib.sha256(world["firmware"]).hexdigest()))
    last = director.reports()[-1]
    seen("installation report of %s: %s" % (last["correlation_id"], last["result"]["code"]),
         last["correlation_id"] == world["correlation"] and last["result"]["success"])
    keys = {e["clientKey"]["keyval"]["public"] for e in director.ecus.values()}
    seen("the two ECUs have different keys", len(keys) == 2)
    status = v.ctl("status")
    seen("uptanectl status shows all of it", status.returncode == 0 and "vehicle-os-2" in status.stdout and "mcu-firmware-7.bin" in status.stdout)
    show("$ uptanectl status\n" + status.stdout)


def write_script(vehicle, path):
    """Runs a command in the vehicle as it is booted now."""
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nexec %s \"$@\"\n" % shlex.join(vehicle.machine.command()))
    os.chmod(path, 0o755)


def keep(world):
    v = world["vehicle"]
    url = "http://127.0.0.1:%d/" % serve(Commands(world["backend"]))
    script = os.path.join(v.folder, "run")
    write_script(v, script)
    print("\nIt goes on running, and boots again when it reboots. In another terminal, as root:\n\n"
          "  VEHICLE=%s\n"
          "  $VEHICLE uptanectl status\n"
          "  $VEHICLE uptanectl monitor\n"
          "  $VEHICLE busctl introspect org.uptane.Primary1 /org/uptane/Primary1\n"
          "  $VEHICLE journalctl -f -u uptaned\n"
          "  $VEHICLE ostree admin status\n\n"
          "Commands to the back-end (tests/backend/control.py has them all), for example another update of the Secondary:\n\n"
          "  date > /tmp/firmware-8\n"
          "  curl -d '{\"command\": \"add-file\", \"name\": \"firmware-8\", \"path\": \"/tmp/firmware-8\", \"hardware_ids\": [\"test-mcu\"]}' %s\n"
          "  curl -d '{\"command\": \"assign\", \"device\": \"%s\", \"images\": {\"%s\": \"firmware-8\"}}' %s\n"
          "  $VEHICLE uptanectl check\n\nCtrl-C ends it."
          % (script, url, v.device_id, v.secondaries[0].serial, url), flush=True)
    try:
        while True:
            if v.machine.is_down():
                v.machine.wait_reboot()
                v.boot()
                write_script(v, script)
            time.sleep(1)
    except KeyboardInterrupt:
        print()


def end(*_):
    raise KeyboardInterrupt


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)  # whoever ends this, the vehicle ends with it
    if not rootfs.is_made():
        print("Making the Debian that the vehicle runs; it is kept in %s..." % rootfs.cache(), flush=True)
    rootfs.base()
    begin = time.monotonic()
    folder = tempfile.mkdtemp(prefix="uptaned-demo.", dir="/tmp")
    network = ContainerVehicle.make_network()
    world = {"images": SystemImages(os.path.join(folder, "images"), BUILD)}
    world["backend"] = Backend(os.path.join(folder, "backend"), ostree=world["images"].repo, network=network.path)
    world["vehicle"] = ContainerVehicle(world["backend"], world["images"], os.path.join(folder, "vehicle"), network)
    try:
        for part in (register, publish, attack, update, reboot, report):
            part(world)
        print("\n%s in %.0f s." % (paint("1;32", "Every step was observed"), time.monotonic() - begin), flush=True)
        if "--keep" in sys.argv:
            keep(world)
        return 0
    except (AssertionError, Timeout) as e:
        print("\n%s %s\n" % (paint("31", "✗"), e))
        for name in ("uptaned", "uptane-secondary", "uptane-ostree", "systemd"):
            show("%s:\n%s" % (name, world["vehicle"].log(name)[-1500:]))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        world["vehicle"].close()
        world["backend"].stop()
        network.close()
        remove_tree(folder)


if __name__ == "__main__":
    sys.exit(main())
