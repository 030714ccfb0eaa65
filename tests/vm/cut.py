# SPDX-License-Identifier: Apache-2.0
"""A disk after a power cut: what its boot loader sees, and whether everything that it could boot is whole.

The boot loader reads /boot as it lies on the medium. Once a kernel runs, the journals are replayed: then /boot shows the
boot loader's files of the next boot. Both have to be good.
"""
import hashlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess

from images import OS_NAME, remove_tree

from vm.disk import BOOT_SIZE, BOOT_START, MIB, ROOT_SIZE, ROOT_START
from vm.loaders import deployment_link

FSCK_GOOD = (0, 1)  # clean, or what -p may repair without asking


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _content(path):
    with open(path, "rb") as f:
        return _sha256(f.read())


def _list(root, prefix=""):
    """{path: what it is} of a tree. Of files the length; their content is somebody else's question."""
    found = {}
    if not os.path.isdir(root):
        return found
    with os.scandir(os.path.join(root, prefix)) as entries:
        for entry in entries:
            path, s = os.path.join(prefix, entry.name), entry.stat(follow_symlinks=False)
            what = os.readlink(entry.path) if stat.S_ISLNK(s.st_mode) else s.st_size if stat.S_ISREG(s.st_mode) else None
            found[path] = (stat.S_IFMT(s.st_mode), what)
            if stat.S_ISDIR(s.st_mode):
                found.update(_list(root, path))
    return found


class Reference:
    """What the commits of a back-end are, told by a checkout of each."""

    def __init__(self, images, commits, folder):
        self.trees, self.kernels, contents = {}, {}, {}
        for commit in commits:
            root = os.path.join(folder, commit)
            subprocess.run(["ostree", "--repo=" + images.repo, "checkout", "-U", commit, root], check=True)
            self.trees[commit] = _list(os.path.join(root, "usr"))
            contents[commit] = {path: _content(os.path.join(root, "usr", path))
                                for path, (kind, _) in self.trees[commit].items() if kind == stat.S_IFREG}
            [modules] = os.listdir(os.path.join(root, "usr/lib/modules"))
            self.kernels[commit] = tuple(contents[commit]["lib/modules/%s/%s" % (modules, name)] for name in ("vmlinuz", "initramfs.img"))
            remove_tree(root)
        shared = set.intersection(*(set(c.items()) for c in contents.values()))
        # what all have was there before anything was cut; what one alone has is looked at byte by byte
        self.own = {commit: dict(set(c.items()) - shared) for commit, c in contents.items()}


class View:
    """What a boot loader reads: the kernels and initramfs by their hashes, and the links to the deployments."""

    def __init__(self, disk, loader, folder):
        self.disk, self.folder = disk, folder
        [text] = self._read([loader.CONFIG])
        entries = loader.parse(text.decode(errors="replace"))
        contents = iter([_sha256(data) for data in self._read([name for entry in entries for name in entry[:2]])])
        self.entries = [(next(contents), next(contents), deployment_link(arguments)) for _, _, arguments in entries]

    def _read(self, names):
        """Files of /boot. debugfs replays no journal; what is not there is empty."""
        files = [os.path.join(self.folder, "file-%d" % i) for i in range(len(names))]
        for file in files:
            with open(file, "wb"):
                pass
        commands = "".join("dump %s %s\n" % pair for pair in zip(names, files) if pair[0])
        subprocess.run(["debugfs", "-f", "-", "%s?offset=%d" % (self.disk, BOOT_START * MIB)], input=commands.encode(), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for file in files:
            with open(file, "rb") as f:
                yield f.read()


class Cut:
    """problems: what is not as it must be. boots: the commit that the boot loader would boot; None if there is none."""

    def __init__(self, disk, loader, reference, provisioned, folder):
        self.disk, self.reference, self.provisioned, self.problems, self.boots = disk, reference, provisioned, [], None
        self.looked_at = {}  # deployment -> whether it is whole
        view = View(disk, loader, folder)
        self._fsck("/boot", BOOT_START, BOOT_SIZE)
        self._fsck("the root", ROOT_START, ROOT_SIZE)
        mount = os.path.join(folder, "mnt")
        os.makedirs(mount, exist_ok=True)
        options = "loop,ro,noload,offset=%d,sizelimit=%d" % (ROOT_START * MIB, ROOT_SIZE * MIB)
        subprocess.run(["mount", "-t", "ext4", "-o", options, disk, mount], check=True)
        try:
            self.boots = self._check_view("the boot loader", view, mount)
            self._check_view("the next boot's boot loader", View(disk, loader, folder), mount)
            self._check_database(os.path.join(mount, "ostree/deploy", OS_NAME, "var/lib/uptane"), folder)
        finally:
            subprocess.run(["umount", mount], check=True)

    def _fsck(self, name, start, size):
        """On a loop device: a file with an offset is lost to e2fsck once it has replayed the journal."""
        device = subprocess.run(["losetup", "--find", "--show", "--offset=%d" % (start * MIB), "--sizelimit=%d" % (size * MIB), self.disk],
                                check=True, capture_output=True, text=True).stdout.strip()
        done = subprocess.run(["e2fsck", "-p", device], capture_output=True, text=True, check=False)
        subprocess.run(["losetup", "--detach", device], check=True)
        if done.returncode not in FSCK_GOOD:
            self.problems.append("e2fsck of %s: %s" % (name, (done.stdout + done.stderr).strip()[-300:]))

    def _check_view(self, who, view, mount):
        """The commit of its first entry."""
        if not view.entries:
            self.problems.append("%s finds no entry" % who)
        commits = [self._check_entry("entry %d of %s" % (i + 1, who), entry, mount) for i, entry in enumerate(view.entries)]
        return commits[0] if commits else None

    def _check_entry(self, who, entry, mount):
        kernel, initramfs, link = entry
        deployment = self._resolve(mount, link)
        if not link or not os.path.isdir(deployment):
            self.problems.append("%s: %s leads to no deployment" % (who, link))
            return None
        commit = os.path.basename(deployment).split(".")[0]
        if self.reference.kernels.get(commit) != (kernel, initramfs):
            self.problems.append("%s: not the kernel and initramfs of %.12s" % (who, commit))
            return None
        if deployment not in self.looked_at:
            self.looked_at[deployment] = self._check_deployment(who, deployment, commit, mount)
        return commit if self.looked_at[deployment] else None

    @staticmethod
    def _resolve(mount, link):
        return os.path.realpath(mount + link)  # all its links are relative

    def _check_deployment(self, who, deployment, commit, mount):
        before = len(self.problems)
        found, wanted = _list(os.path.join(deployment, "usr")), self.reference.trees[commit]
        wrong = {path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path)}
        wrong |= {path for path, content in self.reference.own[commit].items()
                  if path not in wrong and _content(os.path.join(deployment, "usr", path)) != content}
        if wrong:
            self.problems.append("%s: %d files of %.12s are not what they were, %s" % (who, len(wrong), commit, sorted(wrong)[:3]))
        if _list(os.path.join(deployment, "etc/uptane")) != self.provisioned[commit]:
            self.problems.append("%s: /etc/uptane is not what the factory put there" % who)
        listed = subprocess.run(["ostree", "--repo=" + os.path.join(mount, "ostree/repo"), "ls", "-R", commit], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, check=False)
        if listed.returncode:
            self.problems.append("%s: the repository lacks something of %.12s: %s" % (who, commit, listed.stderr.strip()[-200:]))
        return len(self.problems) == before

    def _check_database(self, state, folder):
        """The one of uptaned, with whatever SQLite has beside it: it opens, and is whole."""
        copy = os.path.join(folder, "state")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(state, copy, ignore=lambda _, names: [name for name in names if not name.startswith("uptaned.db")])
        try:
            database = sqlite3.connect(os.path.join(copy, "uptaned.db"))
            answer = database.execute("PRAGMA integrity_check").fetchall()
            rows = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            database.close()
        except sqlite3.Error as e:
            answer, rows = str(e), 0
        if answer != [("ok",)] or not rows or [name for name in os.listdir(state) if "damaged" in name]:
            self.problems.append("uptaned's database: %s, %s" % (answer, os.listdir(state)))


def provisioned(sysroot, commit):
    return _list(os.path.join(sysroot, "ostree/deploy", OS_NAME, "deploy", commit + ".0", "etc/uptane"))
