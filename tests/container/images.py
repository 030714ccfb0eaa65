# SPDX-License-Identifier: Apache-2.0
"""OSTree commits of a whole system: Debian, what `meson install` installs, and a version that tells them apart."""
import json
import os
import shutil
import subprocess

import images
from container import rootfs

KERNEL = "6.1.0-test"
UNITS = ("uptaned.service", "uptane-fetch@.service", "uptane-verify@.service", "uptane-ostree@.service", "uptane-secondary-ip@.service", "uptane-secondary.service")
ENABLED = ("uptaned.service", "uptane-fetch.socket", "uptane-verify.socket", "uptane-ostree.socket", "uptane-secondary-ip.socket")
FILES = {
    # kept beyond a reboot, and read from outside
    "usr/lib/systemd/journald.conf.d/10-test.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
    # a service with a /proc of its own sees the boot id of the machine around the container there
    "usr/lib/systemd/system/uptaned.service.d/10-container.conf":
        "[Service]\nBindReadOnlyPaths=/run/test-boot-id:/proc/sys/kernel/random/boot_id\n",
    # what a sandbox does not allow is not only refused here: it kills, so that it is seen
    **{"usr/lib/systemd/system/%s.d/10-strict.conf" % unit: "[Service]\nSystemCallErrorNumber=kill\n" for unit in UNITS},
}


def _write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def _prefix(build):
    with open(os.path.join(build, "meson-info/intro-buildoptions.json"), encoding="utf-8") as f:
        return next(option["value"] for option in json.load(f) if option["name"] == "prefix")


def _merge_usr(root):
    """Debian's /lib is /usr/lib."""
    if os.path.isdir(os.path.join(root, "lib")):
        shutil.copytree(os.path.join(root, "lib"), os.path.join(root, "usr/lib"), dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(os.path.join(root, "lib"))
    if os.path.isdir(os.path.join(root, "etc")):
        shutil.copytree(os.path.join(root, "etc"), os.path.join(root, "usr/etc"), dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(os.path.join(root, "etc"))


class SystemImages(images.Images):
    """As Images; without_init makes a version that cannot boot."""

    def __init__(self, directory, build):
        self.directory, self.build = directory, build
        self.repo = os.path.join(directory, "repo")
        self.commits = {}
        if _prefix(build) != "/usr":
            raise AssertionError("%s is configured for %s; an OSTree image needs what is configured with --prefix=/usr" % (build, _prefix(build)))
        self.base = rootfs.base()
        os.makedirs(directory)
        # the objects never change: they are shared where the file system allows it
        if subprocess.run(["cp", "-al", self.base + "-archive", self.repo], check=False, stderr=subprocess.DEVNULL).returncode:
            shutil.rmtree(self.repo, ignore_errors=True)
            shutil.copytree(self.base + "-archive", self.repo, symlinks=True)
        self._install()

    def _install(self):
        """The part that all versions have beside Debian, as a branch of its own."""
        root = os.path.join(self.directory, "installed")
        rootfs.run("meson", "install", "-C", self.build, "--no-rebuild", "--quiet", "--destdir", root)
        for name, text in FILES.items():
            _write(root, name, text)
        _merge_usr(root)
        rootfs.run("systemctl", "--root=" + root, "preset", *ENABLED)
        _merge_usr(root)
        self._commit("installed", "--tree=ref=" + rootfs.BRANCH, "--tree=dir=" + root)
        shutil.rmtree(root)

    def _commit(self, branch, *arguments):
        return rootfs.run("ostree", "--repo=" + self.repo, "commit", "--branch=" + branch, "--subject=" + branch, *arguments)

    def commit(self, version, without_init=False):
        if version not in self.commits:
            root = os.path.join(self.directory, "version-" + version)
            for name in ("vmlinuz", "initramfs.img"):
                _write(root, "usr/lib/modules/%s/%s" % (KERNEL, name), "%s %s\n" % (name, version))
            _write(root, "usr/lib/os-release", 'NAME=test\nID=test\nVERSION_ID=%s\nPRETTY_NAME="Test vehicle %s"\n' % (version, version))
            if without_init:
                _write(root, "usr/lib/systemd/systemd", "not a program\n")
            self.commits[version] = self._commit("test/" + version, "--tree=ref=installed", "--tree=dir=" + root,
                                                 "--add-metadata-string=version=" + version)
            shutil.rmtree(root)
        return self.commits[version]

    def make_sysroot(self, path, version):
        """A sysroot with this version deployed, as a vehicle leaves the factory."""
        commit, repo = self.commit(version), path + "/ostree/repo"
        os.makedirs(path)
        rootfs.run("ostree", "admin", "init-fs", path)
        rootfs.run("ostree", "admin", "os-init", "--sysroot=" + path, images.OS_NAME)
        rootfs.run("ostree", "config", "--repo=" + repo, "set", "sysroot.bootloader", "none")
        rootfs.run("ostree", "--repo=" + repo, "pull-local", self.base, rootfs.BRANCH)
        rootfs.run("ostree", "--repo=" + repo, "pull-local", self.repo, commit)
        rootfs.run("ostree", "--repo=" + repo, "refs", "--delete", rootfs.BRANCH)
        rootfs.run("ostree", "admin", "--sysroot=" + path, "deploy", "--os=" + images.OS_NAME, "--karg=root=LABEL=root", commit)
        return commit
