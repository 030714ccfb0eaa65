# SPDX-License-Identifier: Apache-2.0
"""An attack on a running vehicle, and everything that must be true of each: see class Attack."""
import pytest
from state import trusted
from vehicle import wait_for

ROLES = ("root", "timestamp", "snapshot", "targets")
BOTH = pytest.mark.parametrize("name", ["director", "image"])
# the attack classes of errors; what is not here is no attack by itself
CLASSES = {
    "SignatureThreshold": "arbitrary software", "WrongRole": "arbitrary software", "TargetMismatch": "arbitrary software",
    "UnknownEcu": "arbitrary software", "HardwareMismatch": "arbitrary software", "ImageMismatch": "arbitrary software",
    "WrongVehicle": "arbitrary software", "Rollback": "rollback", "MetadataExpired": "freeze", "MixAndMatch": "mix and match",
    "TooLarge": "endless data", "TooSlow": "slow retrieval", "ForgedReport": "forged report", "ReplayedReport": "replayed report", "EcuReplaced": "forged report",
}


def repository(world, name):
    return world.director.repository if name == "director" else world.backend.image


def url(name):
    return "^/director/" if name == "director" else "^/repo/"


def attacks(world, serial=None, manifest=-1):
    """attacks_detected of the last accepted manifest."""
    reports = world.director.manifests[manifest]["signed"]["ecu_version_manifests"]
    return reports[serial or world.vehicle.serial]["signed"]["attacks_detected"]


def told_since(world, manifests):
    """What the manifests accepted since there were so many tell of attacks; those that tell of none left out."""
    told = [attacks(world, manifest=i) for i in range(manifests, len(world.director.manifests))]
    return [text for text in told if text]


def assert_told(world, manifests, error, message, times=1):
    """The manifests accepted since there were so many tell of this error once (or so many times), if it is an attack, and of
    nothing else."""
    kind = CLASSES.get(error)
    expected = [] if kind is None else ["%s: %s (" % (kind, message.replace(";", ","))] * times
    told = told_since(world, manifests)
    assert len(told) == len(expected) and all(t.startswith(e) for t, e in zip(told, expected)), (told, expected)


def check(world):
    """A whole check, and what follows from it, until the daemon is idle again."""
    v = world.vehicle
    v.wait_state("idle")
    before = len(world.backend.requests("director/manifest"))
    v.verb("CheckForUpdates")
    wait_for(lambda: len(world.backend.requests("director/manifest")) > before and v.state() == "idle",
             lambda: "the end of a check; state %s, %s" % (v.state(), v.log("uptaned")[-800:]), 60)


def restart(world, how):
    """Starting is checking: until that check is over, too."""
    v = world.vehicle
    before = len(world.backend.requests("director/manifest"))
    how()
    wait_for(lambda: len(world.backend.requests("director/manifest")) > before and v.state() == "idle",
             lambda: "the check at the start; %s" % v.state(), 60)


def good(world):
    """The next good cycle."""
    world.update_firmware()
    assert world.vehicle.error() == ("", "")


def roll_back(r, role, version):
    """An older version of role, and everything that lists it agrees with it."""
    r.versions[role] = version
    r.publish(bump={"timestamp": [], "snapshot": ["timestamp"], "targets": ["snapshot", "timestamp"]}[role])


@pytest.fixture
def ready(world):
    """A vehicle that has done one good update."""
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    world.update_firmware()
    return world


class Attack:
    """with Attack(world, "Rollback", "director", "timestamp"): make it.

    Another image is assigned, which the attack shall keep from the vehicle: world.bad. At the end of the block a check is made,
    and it is refused with this error (or one of these), about this repository and this role's file (None: all files are good by
    themselves), with these texts in the message, on D-Bus and on the command line. Only what comes before that file is new among
    what is trusted, with new_root also Root; nothing is lost; nothing is installed, and the daemon is the same one. Then
    everything is as it was before the attack, and a good update succeeds (install=False: a check, which is faster). Its manifest tells
    of the attack, once; where it was met more often, with a manifest between (met), each time.
    """

    def __init__(self, world, errors, name, at, *texts, new_root=False, install=True):
        self.world, self.errors, self.name, self.at, self.texts = world, (errors,) if isinstance(errors, str) else errors, name, at, texts
        self.new_root, self.install, self.seen, self.met = new_root, install, None, 1

    def __enter__(self):
        world, v = self.world, self.world.vehicle
        v.wait_state("idle")
        assert v.error() == ("", "")  # what is seen later is new
        world.release += 1
        world.bad = world.publish_firmware("bad-%d.bin" % world.release, b"bad firmware %d\n" % world.release * 100)
        world.assign(firmware=world.bad)
        self.kept = {name: repository(world, name).keep() for name in ("director", "image")}
        self.manifests = len(world.director.manifests)
        self.pid, self.content, self.trusted = v.control("pid", "uptaned"), v.secondaries[0].content(), trusted(v)
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            if self.seen is None:
                self.refused()
            self.recovered()

    def allowed(self, key):
        """Whether this may be stored all the same: it is good, and was looked at before the bad file."""
        table, name, which = key
        if name != self.name:
            return self.name == "image"
        if table == "root":
            return self.new_root
        return self.at is None or (table == "metadata" and which < ROLES.index(self.at))

    def refused(self):
        v = self.world.vehicle
        check(self.world)
        self.seen = name, message = v.error()
        assert name in self.errors, (name, message)
        assert self.at is None or message.startswith("%s %s" % (self.name, self.at)), message
        for text in self.texts:
            assert text in message
        shown = v.ctl("status").stdout
        assert message in shown and "org.uptane.Error." + name in shown
        self.nothing_changed()
        assert v.control("pid", "uptaned") == self.pid

    def nothing_changed(self):
        v = self.world.vehicle
        now = trusted(v)
        new = {key for key, data in now.items() if self.trusted.get(key) != data and not self.allowed(key)}
        assert not new, new
        lost = set(self.trusted) - set(now)
        assert not lost or self.new_root, lost
        assert v.secondaries[0].content() == self.content

    def recovered(self):
        world = self.world
        world.backend.faults.clear()
        roots = [key for key in trusted(world.vehicle) if key[0] == "root"]
        for name in ("director", "image"):
            repository(world, name).take_back(self.kept[name], max(version for _, n, version in roots if n == name))
        if self.install:
            good(world)
        else:
            world.director.clear()
            check(world)
            assert world.vehicle.error() == ("", "")
        assert_told(world, self.manifests, *self.seen, times=self.met)
