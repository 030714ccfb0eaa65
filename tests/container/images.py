# SPDX-License-Identifier: Apache-2.0
"""OSTree commits of a whole system: Debian, what `meson install` installs, and a version that tells them apart."""
import json
import os
import shutil
import subprocess

import images
from container import rootfs

KERNEL = "6.1.0-test"
# what a sandbox does not allow is not only refused here: it kills, so that it is seen
STRICT = "[Service]\nSystemCallErrorNumber=kill\n"
FILES = {
    # kept beyond a reboot, and read from outside
    "usr/lib/systemd/journald.conf.d/10-test.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
    # a service with a /proc of its own sees the boot id of the machine around the container there
    "usr/lib/systemd/system/uptaned.service.d/10-container.conf":
        "[Service]\nBindReadOnlyPaths=/run/test-boot-id:/proc/sys/kernel/random/boot_id\n",
}


def _write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    if text.startswith("#!"):
        os.chmod(path, 0o755)


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
    """As Images; without_init makes a version that cannot boot. units: the services that `meson install` installs."""

    FILES = FILES
    BOOTLOADER, KERNEL_ARGUMENTS = "none", ("root=LABEL=root",)

    @staticmethod
    def make_base():
        return rootfs.base()

    def add_kernel(self, root, version):
        """Nobody starts it."""
        for name in ("vmlinuz", "initramfs.img"):
            _write(root, "usr/lib/modules/%s/%s" % (KERNEL, name), "%s %s\n" % (name, version))

    def prepare_boot(self, boot):
        """What the boot loader wants in /boot before anything is deployed: nothing."""

    def add_files(self, root):
        """What all versions have beside Debian and what is installed."""
        for name, text in self.FILES.items():
            _write(root, name, text)

    def __init__(self, directory, build):
        self.directory, self.build = directory, build
        self.repo = os.path.join(directory, "repo")
        self.commits = {}
        if _prefix(build) != "/usr":
            raise AssertionError("%s is configured for %s; an OSTree image needs what is configured with --prefix=/usr" % (build, _prefix(build)))
        self.base = self.make_base()
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
        self.add_files(root)
        _merge_usr(root)
        units = os.path.join(root, "usr/lib/systemd/system")
        self.units = sorted(name for name in os.listdir(units) if name.endswith(".service"))
        for name in self.units:
            _write(units, name + ".d/10-strict.conf", STRICT)
        rootfs.run("systemctl", "--root=" + root, "preset-all")  # there are no others in it
        _merge_usr(root)
        self._commit("installed", "--tree=ref=" + rootfs.BRANCH, "--tree=dir=" + root)
        shutil.rmtree(root)

    def _commit(self, branch, *arguments):
        return rootfs.run("ostree", "--repo=" + self.repo, "commit", "--branch=" + branch, "--subject=" + branch, *arguments)

    def commit(self, version, without_init=False, files=None, big=0):
        """files: {path: text} of this version alone; a text that begins as a script's does is executable. big: bytes of a file
        that nothing makes smaller; such a commit says how large its objects are."""
        if version not in self.commits:
            root = os.path.join(self.directory, "version-" + version)
            self.add_kernel(root, version)
            for name, text in (files or {}).items():
                _write(root, name, text)
            # no spaces: extlinux takes what follows the first word of a title for kernel arguments, and a "1" is a rescue
            _write(root, "usr/lib/os-release", 'NAME=test\nID=test\nVERSION_ID=%s\nPRETTY_NAME="Test-vehicle-%s"\n' % (version, version))
            if without_init:
                _write(root, "usr/lib/systemd/systemd", "not a program\n")
            if big:
                with open(os.path.join(root, "usr/lib/big"), "wb") as f:
                    f.write(os.urandom(big))
            self.commits[version] = self._commit("test/" + version, "--tree=ref=installed", "--tree=dir=" + root,
                                                 "--add-metadata-string=version=" + version, *["--generate-sizes"] * bool(big))
            shutil.rmtree(root)
        return self.commits[version]

    def make_sysroot(self, path, version):
        """A sysroot with this version deployed, as a vehicle leaves the factory."""
        commit, repo = self.commit(version), path + "/ostree/repo"
        os.makedirs(path)
        rootfs.run("ostree", "admin", "init-fs", path)
        rootfs.run("ostree", "admin", "os-init", "--sysroot=" + path, images.OS_NAME)
        self.prepare_boot(os.path.join(path, "boot"))
        rootfs.run("ostree", "config", "--repo=" + repo, "set", "sysroot.bootloader", self.BOOTLOADER)
        rootfs.run("ostree", "--repo=" + repo, "pull-local", self.base, rootfs.BRANCH)
        rootfs.run("ostree", "--repo=" + repo, "pull-local", self.repo, commit)
        rootfs.run("ostree", "--repo=" + repo, "refs", "--delete", rootfs.BRANCH)
        rootfs.run("ostree", "admin", "--sysroot=" + path, "deploy", "--os=" + images.OS_NAME,
                   *["--karg=" + argument for argument in self.KERNEL_ARGUMENTS], commit)
        return commit
