# SPDX-License-Identifier: Apache-2.0
"""A Secondary whose software is an OSTree commit: uptane-ostree pulls and deploys on a scratch sysroot, and what it has booted is what is
reported. A boot is a new boot id, and the helper in the first deployment."""
import os
import pathlib
import shutil
import subprocess

import images as trees
import pytest
from ostree_fixture import NEEDS_ROOT, RepoServer, authority, booted, repo, server, sysroot  # noqa: F401  # fixtures
from test_secondary_exec import NEED_COMPLETION, BootingEcu
from test_secondary_ip import Ecu, Helper, files_of
from test_secondary_ip import ALREADY, BAD_DOWNLOAD, HARDWARE, INTERNAL, INVALID, NOT_INSTALLED, OK, SERIAL, put_targets

from der import message, octets
from helpers_fixture import Activator, RemoteError, program
from remote import wait_for

pytestmark = NEEDS_ROOT


class OstreeEcu(BootingEcu):
    def __init__(self, folder, boot_helper, url, **settings):
        self.boot_helper, self.number = boot_helper, 1
        self.socket = boot_helper()
        super().__init__(folder, **{"install": "ostree", "ostree-url": url, "helper-socket": self.socket, **settings})

    def assign_commit(self, commit, name="os-2", counter=None):
        self.image.targets, self.director.targets = {}, {}
        about = {"length": 0, "digests": {"sha256": commit}, "targetFormat": "OSTREE", "releaseCounter": counter}
        self.image.target(name, hardwareIds=[HARDWARE], **about)
        self.director.target(name, ecuIdentifiers={SERIAL: {"hardwareId": HARDWARE}}, **about)
        self.image.publish()
        self.director.publish()

    def reboot(self):
        """Into what is the next to boot."""
        self.stop()
        self.boot_helper.activator.stop()
        os.unlink(self.socket)
        self.boot_helper()
        self.number += 1
        self.set_boot(self.number)
        self.start()

    def fetch(self, credentials=b""):
        return self.result(12, octets(credentials))


@pytest.fixture
def os_ecu(tmp_path, booted, server, sysroot):  # noqa: F811
    folder = tmp_path / "ecu"
    folder.mkdir()
    e = OstreeEcu(folder, booted, server.repo_url)
    e.start()
    yield e
    e.stop()


def update(ecu, commit, name="os-2", **options):
    ecu.assign_commit(commit, name, **options)
    assert ecu.put_metadata() == (OK, "")
    return ecu.install(name)


# Uptane 5.4.3.5 (a)
def test_a_commit_is_pulled_deployed_and_reported_behind_the_boot(os_ecu, repo, sysroot):  # noqa: F811
    assert update(os_ecu, repo.second, counter=4)[0] == NEED_COMPLETION
    assert sysroot.deployments() == [repo.second, repo.first] and sysroot.pinned() == [repo.first]
    assert "os-2" not in str(os_ecu.report()) and (os_ecu.folder / "state" / "reboot-required").exists()
    os_ecu.restart()
    assert "os-2" not in str(os_ecu.report()), "it was not booted"
    os_ecu.reboot()
    image = os_ecu.report()["installed_image"]
    assert image["filepath"] == "os-2" and image["fileinfo"]["hashes"]["sha256"] == repo.second
    assert sysroot.pinned() == [], "the new one is good"
    assert not (os_ecu.folder / "state" / "reboot-required").exists()
    os_ecu.assign_commit(repo.second, counter=4)
    assert os_ecu.put_metadata() == (OK, "") and os_ecu.install("os-2")[0] == ALREADY
    os_ecu.assign_commit(repo.third, "os-3", counter=3)
    assert os_ecu.put_metadata()[0] == INVALID, "an older release"


def test_partial_verification_ends_in_a_commit_too(tmp_path, booted, server, repo):  # noqa: F811
    folder = tmp_path / "ecu"
    folder.mkdir()
    e = OstreeEcu(folder, booted, server.repo_url, verification="partial")
    e.start()
    try:
        e.assign_commit(repo.second)
        assert put_targets(e) == (OK, "") and e.install("os-2")[0] == NEED_COMPLETION
        e.reboot()
        assert e.runs() == "os-2"
    finally:
        e.stop()


def test_the_order_to_fetch_comes_before_the_order_to_install(os_ecu, repo, sysroot, server):  # noqa: F811
    code, _ = os_ecu.fetch()
    assert code == INTERNAL, "nothing is assigned"
    os_ecu.assign_commit(repo.second)
    assert os_ecu.put_metadata() == (OK, "") and os_ecu.fetch() == (OK, "")
    assert "second" not in str(sysroot.deployments()) and repo.second not in sysroot.deployments(), "it is only fetched"
    sysroot.ostree("fsck", "-q")
    server.requests.clear()
    assert os_ecu.fetch() == (OK, "") and os_ecu.install("os-2")[0] == NEED_COMPLETION
    assert not [path for path in server.paths() if path.endswith(".filez")], "it was there"


def test_credentials_of_the_primary_are_refused_and_nothing_of_them_kept(os_ecu, repo):  # noqa: F811
    secret = b"BEGIN PRIVATE KEY of the vehicle"
    os_ecu.assign_commit(repo.second)
    assert os_ecu.put_metadata() == (OK, "")
    code, description = os_ecu.fetch(secret)
    assert code == INTERNAL and "its own" in description
    os_ecu.stop()
    for path in os_ecu.folder.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    os_ecu.start()


def test_a_commit_that_is_not_there_is_a_failed_fetch_and_may_be_tried_again(os_ecu, repo, server):  # noqa: F811
    os_ecu.assign_commit(repo.second)
    assert os_ecu.put_metadata() == (OK, "")
    path = "/ostree/objects/%s/%s.commit" % (repo.second[:2], repo.second[2:])
    server.routes[path] = lambda handler: handler.answer(500)
    code, description = os_ecu.fetch()
    assert code == BAD_DOWNLOAD and description
    del server.routes[path]
    assert os_ecu.fetch() == (OK, "") and os_ecu.install("os-2")[0] == NEED_COMPLETION


def test_a_commit_that_cannot_be_installed_leaves_the_old(os_ecu, sysroot, repo):  # noqa: F811
    code, description = update(os_ecu, "ab" * 32)
    assert code == NOT_INSTALLED and description
    assert sysroot.deployments() == [repo.first] and "os-2" not in str(os_ecu.report())
    assert update(os_ecu, repo.second)[0] == NEED_COMPLETION, "a good one can be installed behind it"


def test_where_the_boot_loader_went_back_the_old_is_reported(os_ecu, repo, sysroot):  # noqa: F811
    assert update(os_ecu, repo.second)[0] == NEED_COMPLETION
    os_ecu.reboot()
    assert os_ecu.runs() == "os-2"
    assert update(os_ecu, repo.third, "os-3")[0] == NEED_COMPLETION
    sysroot_first = sysroot.deployments()
    assert sysroot_first[0] == repo.third
    # the third did not come up: the second is booted again
    os_ecu.stop()
    os_ecu.boot_helper.activator.stop()
    os.unlink(os_ecu.socket)
    deployments = sysroot.deployments
    sysroot.deployments = lambda: [repo.second]
    os_ecu.boot_helper()
    sysroot.deployments = deployments
    os_ecu.set_boot(99)
    os_ecu.start()
    assert os_ecu.runs() == "os-2" and "was booted" in os_ecu.log()
    assert sysroot.deployments()[0] == repo.second, "and is the next to boot, too"
    assert not (os_ecu.folder / "state" / "reboot-required").exists()


def test_while_it_pulls_others_are_answered(os_ecu, repo, server):  # noqa: F811
    held = []
    path = "/ostree/objects/%s/%s.commit" % (repo.second[:2], repo.second[2:])

    def hold(handler):
        held.append(True)
        wait_for(lambda: len(held) > 1, "the end of the test")
        server.repo_serve(handler)
    server.repo_serve = repo.serve
    server.routes[path] = hold
    os_ecu.assign_commit(repo.second)
    assert os_ecu.put_metadata() == (OK, "")
    with os_ecu.connect() as s:
        s.sendall(message(8, octets(b"os-2")))
        wait_for(lambda: held, "the pull")
        assert os_ecu.root_version(0) == 1 and os_ecu.report()["attacks_detected"] == ""
        held.append(True)
        s.settimeout(30)
        assert s.recv(4096)[:1] == b"\xb0"


def test_files_are_refused_by_an_ecu_that_installs_commits(os_ecu):
    os_ecu.assign()
    code, description = os_ecu.put_metadata()
    assert code == INVALID and "OSTree" in description


@pytest.fixture
def other(world, tmp_path):
    """The sysroot of the vehicle's Secondary; what is deployed there runs from its next start on."""
    v, sysroot = world.vehicle, str(tmp_path / "other")  # noqa: F811
    secondary, = v.secondaries
    world.images.make_sysroot(sysroot, "1")
    activator = Activator(tmp_path, [program("ostree", "uptane-ostree"), "--sysroot=" + sysroot], CREDENTIALS_DIRECTORY=v.path("credentials"),
                          RUNTIME_DIRECTORY=tmp_path)
    with open(secondary.config, encoding="utf-8") as f:
        text = f.read()
    with open(secondary.config, "w", encoding="utf-8") as f:
        f.write(text.replace("install = " + secondary.firmware, "install = ostree\nostree-url = %s/treehub\nostree-credentials = yes\nhelper-socket = %s"
                             % (world.backend.url, activator.socket)))
    yield sysroot
    activator.stop()
    trees.remove_tree(sysroot)


def has_commit(sysroot, commit):  # noqa: F811
    return os.path.exists(os.path.join(sysroot, "ostree/repo/objects", commit[:2], commit[2:] + ".commit"))


def test_in_a_vehicle_the_secondary_gets_its_commit_by_itself(world, other):
    v, (secondary,) = world.vehicle, world.vehicle.secondaries
    v.boot()
    v.wait_state("idle")
    commit = world.images.commit("2")
    world.assign(firmware=("other-2", world.backend.add_commit("other-2", commit, ["test-mcu"])))
    v.verb("CheckForUpdates")
    wait_for(lambda: trees.deployments(other)[0][1] == commit, lambda: "deployment; " + v.log("secondary1") + v.log("uptaned")[-2000:], 60)
    assert not has_commit(v.sysroot, commit), "nobody needs it in the Primary"
    wait_for(lambda: "installed 'other-2'" in v.log("secondary1"), "the answer")
    assert world.director.installed(secondary.serial)[1] != commit, "it was not booted yet"
    v.control("kill", secondary.label, 9)
    wait_for(lambda: world.director.installed(secondary.serial) == ("other-2", commit), lambda: "the report; " + v.log("uptaned")[-2000:], 60)
    v.wait_state("idle")
    assert world.director.reports()[-1]["result"]["success"] and v.error() == ("", "")


# ---- credentials from the Primary ----

KEY = "5a" * 32


class HandedDown:
    """A Secondary without credentials of its own, a Primary's helper that has some for it, and a server that wants them."""

    def __init__(self, folder, repo, sysroot, authority, **settings):  # noqa: F811
        self.server = RepoServer(repo, authority, demand=True)
        for name in ("ecu", "primary", "helper", "ostree"):
            (folder / name).mkdir()
        self.state = folder / "ecu" / "state"
        for name, source in (("treehub.crt", "device.crt"), ("treehub.key", "device.key"), ("treehub-ca.pem", "ca.pem")):
            shutil.copy(authority.folder / source, folder / "primary" / name)
        for path, line in ((folder / "primary" / "secondaries.psk", f"{SERIAL} {KEY}"), (folder / "ecu" / "secondary.psk", f"{SERIAL} {KEY}")):
            path.write_text(line + "\n")
            path.chmod(0o600)
        self.primary = folder / "primary"
        self.ostree = Activator(folder / "ostree", [program("ostree", "uptane-ostree"), f"--sysroot={sysroot.path}"],
                                CREDENTIALS_DIRECTORY=self.state / "credentials", RUNTIME_DIRECTORY=folder / "ostree")
        self.helper = Activator(folder / "helper", [program("secondary-ip", "uptane-secondary-ip")], CREDENTIALS_DIRECTORY=self.primary)
        self.ecu = Ecu(folder / "ecu", **{"install": "ostree", "ostree-url": self.server.repo_url, "helper-socket": self.ostree.socket,
                                          "ostree-credentials": "yes", "tls": "psk", "tls-psk": folder / "ecu" / "secondary.psk", **settings})
        self.ecu.start()

    def order(self, commit, credentials=True, prefix=f"psk://{SERIAL}@"):
        OstreeEcu.assign_commit(self.ecu, commit)
        with Helper(self.helper.socket, prefix + self.ecu.address) as h:
            h.ask("PutMetadata", "a(ssay)", (files_of(self.ecu),))
            h.ask("FetchCommit", "b", (credentials,))
            return h.ask("Install", "s", ("os-2",), "(ss)")

    def close(self):
        self.ecu.stop()
        self.helper.stop()
        self.ostree.stop()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def handed(tmp_path, repo, sysroot, authority):  # noqa: F811
    opened = []

    def begin(**settings):
        opened.append(HandedDown(tmp_path, repo, sysroot, authority, **settings))
        return opened[-1]
    yield begin
    for h in opened:
        h.close()


def test_where_both_are_told_to_the_primary_hands_its_credentials_down(handed, repo, sysroot):  # noqa: F811
    h = handed(**{"accept-credentials": "yes"})
    with pytest.raises(RemoteError):
        h.order(repo.second, credentials=False)  # the server wants a certificate
    assert h.order(repo.second)[0] == "NEED_COMPLETION"
    assert sysroot.deployments()[0] == repo.second
    for name, source in (("device.crt", "treehub.crt"), ("device.key", "treehub.key"), ("ca.pem", "treehub-ca.pem")):
        path = pathlib.Path(h.state / "credentials" / name)
        assert path.read_bytes() == (h.primary / source).read_bytes() and path.stat().st_mode & 0o777 == 0o600


def test_without_being_told_to_neither_sends_nor_takes_them(handed, repo, sysroot):  # noqa: F811
    h = handed()
    with pytest.raises(RemoteError) as caught:
        h.order(repo.second)
    assert "its own" in caught.value.message
    assert not (h.state / "credentials").exists() and sysroot.deployments() == [repo.first]
    with pytest.raises(RemoteError) as caught:
        h.order(repo.second, credentials=False)
    assert caught.value.name == "Secondary", "no certificate was shown"


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "treehub.key").write_bytes((folder / "treehub.key").read_bytes() * 2),
    lambda folder: (folder / "treehub.crt").write_bytes(b"nothing\n"),
    lambda folder: (folder / "treehub-ca.pem").write_bytes((folder / "treehub-ca.pem").read_bytes() * 40)], ids=["two keys", "no certificate", "too long"])
def test_what_is_not_such_credentials_is_refused(handed, repo, spoil):  # noqa: F811
    h = handed(**{"accept-credentials": "yes"})
    spoil(h.primary)
    with pytest.raises(RemoteError) as caught:
        h.order(repo.second)
    assert caught.value.name in ("Secondary", "TooLarge"), caught.value
    assert not (h.state / "credentials").exists()


def test_they_never_go_over_a_link_that_is_not_protected(tmp_path, authority, os_ecu, repo):  # noqa: F811
    (tmp_path / "helper").mkdir()
    helper = Activator(tmp_path / "helper", [program("secondary-ip", "uptane-secondary-ip")], CREDENTIALS_DIRECTORY=tmp_path)
    try:
        for name, source in (("treehub.crt", "device.crt"), ("treehub.key", "device.key"), ("treehub-ca.pem", "ca.pem")):
            shutil.copy(authority.folder / source, tmp_path / name)
        with Helper(helper.socket, os_ecu.address) as h, pytest.raises(RemoteError) as caught:
            h.ask("FetchCommit", "b", (True,))
        assert caught.value.name == "InvalidArgument" and "protected" in caught.value.message
    finally:
        helper.stop()
    e = Ecu(tmp_path, **{"install": "ostree", "ostree-url": "https://a", "ostree-credentials": "yes", "accept-credentials": "yes"})
    done = subprocess.run(e.command(), capture_output=True, text=True, check=False)
    assert done.returncode == 64 and "accept-credentials needs" in done.stderr
