# SPDX-License-Identifier: Apache-2.0
"""OSTree trees small enough to be made in a moment, and real enough to be deployed and to be the root of a vehicle."""
import glob
import os
import shutil
import subprocess

KERNEL = "6.1.0-test"
OS_NAME = "test-os"
MOUNT_POINTS = ("boot", "dev", "etc", "proc", "run", "sys", "sysroot", "tmp", "usr", "var")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make_tree(path, version):
    shutil.rmtree(path, ignore_errors=True)
    for directory in MOUNT_POINTS:
        if directory != "etc":
            os.makedirs(os.path.join(path, directory), exist_ok=True)
    for directory in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(path, "usr", directory), exist_ok=True)
        os.symlink("usr/" + directory, os.path.join(path, directory))
    os.symlink("sysroot/ostree", os.path.join(path, "ostree"))
    modules = os.path.join(path, "usr/lib/modules", KERNEL)
    os.makedirs(modules)
    os.makedirs(os.path.join(path, "usr/etc"))
    files = {
        "usr/lib/modules/%s/vmlinuz" % KERNEL: "kernel %s\n" % version,
        "usr/lib/modules/%s/initramfs.img" % KERNEL: "initramfs %s\n" % version,
        "usr/lib/os-release": 'NAME=test\nID=test\nVERSION_ID=%s\nPRETTY_NAME="Test vehicle %s"\n' % (version, version),
        "usr/etc/machine-id": "",
        "usr/share-version": version * 1000,
    }
    for name, text in files.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as f:
            f.write(text)
    os.symlink("../usr/lib/os-release", os.path.join(path, "usr/etc/os-release"))


class Images:
    """An OSTree repository as a back-end serves it, with a commit per version."""

    def __init__(self, directory):
        self.directory = directory
        self.repo = os.path.join(directory, "repo")
        self.commits = {}
        os.makedirs(directory, exist_ok=True)
        run("ostree", "init", "--repo=" + self.repo, "--mode=archive-z2")

    def commit(self, version):
        if version not in self.commits:
            tree = os.path.join(self.directory, "tree-" + version)
            make_tree(tree, version)
            self.commits[version] = run(
                "ostree", "--repo=" + self.repo, "commit", "--branch=test/" + version, "--tree=dir=" + tree, "--owner-uid=0",
                "--owner-gid=0", "--subject=" + version, "--add-metadata-string=version=" + version)
            run("ostree", "--repo=" + self.repo, "summary", "-u")
        return self.commits[version]

    def make_sysroot(self, path, version):
        """A sysroot with this version deployed, as a vehicle leaves the factory."""
        commit = self.commit(version)
        os.makedirs(path)
        run("ostree", "admin", "init-fs", path)
        run("ostree", "admin", "os-init", "--sysroot=" + path, OS_NAME)
        run("ostree", "config", "--repo=" + path + "/ostree/repo", "set", "sysroot.bootloader", "none")
        run("ostree", "--repo=" + path + "/ostree/repo", "pull-local", self.repo, commit)
        run("ostree", "admin", "--sysroot=" + path, "deploy", "--os=" + OS_NAME, "--karg=root=LABEL=root", commit)
        return commit


def deployments(sysroot):
    """(path, commit) of each deployment, the one that boots next first."""
    result = []
    for line in run("ostree", "admin", "--sysroot=" + sysroot, "status").splitlines():
        words = line.replace("*", " ").split()
        if len(words) >= 2 and words[0] == OS_NAME:
            result.append((os.path.join(sysroot, "ostree/deploy", OS_NAME, "deploy", words[1]), words[1].split(".")[0]))
    return result


def pinned(sysroot):
    """Commits of the deployments nobody prunes."""
    found = []
    for path in glob.glob(os.path.join(sysroot, "ostree/deploy/*/deploy/*.origin")):
        with open(path, encoding="utf-8") as f:
            if "[libostree-transient]" in f.read():
                found.append(os.path.basename(path).split(".")[0])
    return sorted(found)


def remove_tree(path):
    """Deployments are immutable to everybody, until they are not."""
    subprocess.run(["chattr", "-R", "-f", "-i", path], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(path, ignore_errors=True)
