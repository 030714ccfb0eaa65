# SPDX-License-Identifier: Apache-2.0
"""What a boot loader finds that does not read the journal of /boot: at any time, something that the sysroot can boot."""
import os
import pathlib
import re
import subprocess
import time

import pytest
from helpers_fixture import OstreeClient, run
from ostree_fixture import NEEDS_ROOT, authority, booted, helper, repo, server, start, sysroot  # noqa: F401

pytestmark = NEEDS_ROOT


def debugfs(image, request):
    """Reads the file system as it lies on the medium, without its journal. It may just be written to: then once more."""
    for _ in range(3):
        done = subprocess.run(["debugfs", "-R", request, image], capture_output=True, text=True, check=True)
        complaints = done.stderr.splitlines()[1:]  # the first line is its version
        if not complaints:
            return done.stdout
        time.sleep(0.1)
    raise AssertionError(f"{request}: {complaints}")


class Medium:
    """/boot of the sysroot as a file system of its own, with a journal."""

    def __init__(self, folder, sysroot):
        self.image, self.sysroot, self.mounted = folder / "boot.img", sysroot, sysroot.path / "boot"
        with open(self.image, "wb") as f:
            f.truncate(16 << 20)
        run("mkfs.ext4", "-q", "-O", "has_journal", "-d", self.mounted, self.image)
        run("mount", "-o", "loop,commit=300", self.image, self.mounted)

    def entries(self):
        """Of the boot loader, from the medium: the newest first."""
        folder = re.search('link dest: "([^"]*)"', debugfs(self.image, "stat /loader")).group(1)
        names = re.findall(r"ostree-\d+-\w+\.conf", debugfs(self.image, f"ls /{folder}/entries"))
        return [debugfs(self.image, f"cat /{folder}/entries/{name}") for name in sorted(set(names), reverse=True)]

    def bootable(self):
        """Commits that the entries on the medium lead to, kernel and deployment being there."""
        found = []
        for entry in self.entries():
            kernel = re.search(r"^linux (?:/boot)?(/\S+)", entry, re.M).group(1)
            assert debugfs(self.image, f"cat {kernel}").startswith("kernel "), kernel
            link = self.sysroot.path / re.search(r"ostree=/(\S+)", entry).group(1)
            assert link.exists(), f"{link} is gone, and the boot loader still leads there"
            found.append(pathlib.Path(link).resolve().name.split(".")[0])
        return found


@pytest.fixture
def medium(tmp_path, sysroot):  # noqa: F811
    m = Medium(tmp_path, sysroot)
    yield m
    run("umount", m.mounted)


def shut_down(activator, *command):
    """Runs this in the vehicle."""
    shell = activator.process.pid
    child = pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text(encoding="ascii").split()[0]
    return subprocess.run(["nsenter", f"--target={child}", "--mount", "--pid", "--root", "--", *command], capture_output=True, text=True,
                          check=False, timeout=60)


def finalize(activator):
    return shut_down(activator, "/run/shared/uptane-ostree", "--finalize")


def test_a_deployment_written_at_once_is_on_the_medium_before_the_old_entries_go(booted, medium, server, repo):  # noqa: F811
    assert medium.bootable() == [repo.first]
    with OstreeClient(booted("--no-stage")) as c:
        for commit in (repo.second, repo.third):
            c.pull(server.repo_url, commit)
            c.deploy(commit)
            assert medium.bootable() == [commit, repo.first]
        c.rollback(repo.third)
        assert medium.bootable()[0] == repo.first
        c.mark_good()
        assert medium.bootable()[0] == repo.first


def test_the_shutdown_leaves_what_an_older_state_of_the_medium_boots(booted, medium, server, sysroot, repo):  # noqa: F811
    with OstreeClient(booted(systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
    assert medium.bootable() == [repo.first]
    old = medium.entries()
    done = finalize(booted.activator)
    assert done.returncode == 0, done.stderr
    assert medium.bootable() == [repo.second, repo.first]
    for entry in old:  # a power cut before the last write brings these back
        assert (sysroot.path / re.search(r"ostree=/(\S+)", entry).group(1)).exists()
        assert (medium.mounted / re.search(r"^linux (?:/boot)?/(\S+)", entry, re.M).group(1)).exists()
    assert not (medium.mounted / "ostree/finalize-failure.stamp").exists(), "the next boot would complain"
    assert len(list(medium.mounted.glob("loader.*"))) == 2
    assert sysroot.deployments() == [repo.second, repo.first]


def test_a_shutdown_with_nothing_to_write_does_nothing(booted, medium, server, sysroot, repo):  # noqa: F811
    with OstreeClient(booted(systemd=True)) as c:
        assert finalize(booted.activator).returncode == 0
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second, hold=True)
        assert finalize(booted.activator).returncode == 0
        assert medium.bootable() == sysroot.deployments()[-1:] == [repo.first]


def test_a_shutdown_that_could_not_write_says_so(booted, medium, server, sysroot, repo):  # noqa: F811
    with OstreeClient(booted(systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
    with open(medium.mounted / "filling", "wb") as f, pytest.raises(OSError):
        while True:
            os.write(f.fileno(), b"x" * 1024)
    done = finalize(booted.activator)
    assert done.returncode != 0 and "not written" in done.stderr
    assert medium.bootable() == [repo.first]
