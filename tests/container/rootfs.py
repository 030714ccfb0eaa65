# SPDX-License-Identifier: Apache-2.0
"""A root file system of Debian packages, in the form OSTree wants, as a branch of a repository that is made once and kept.

It lies in ${XDG_CACHE_HOME:-/var/cache}/uptaned-tests, under a name made of all that it is made from.
"""
import contextlib
import fcntl
import fnmatch
import glob
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile

PACKAGES = ("dbus", "libcurl4", "libinih1", "libjansson4", "libostree-1-1", "libsqlite3-0", "libssl3", "ostree", "ostree-boot", "polkitd",
            "systemd", "systemd-sysv")
# Beside them where a machine has a kernel of its own, and what of its modules an emulated one may need.
KERNEL_PACKAGES = ("iproute2", "kmod", "libubootenv-tool", "linux-image-cloud-amd64", "udev")
MODULES = ("crc16", "crc32c_generic", "ext4", "failover", "jbd2", "mbcache", "net_failover", "virtio*")
BRANCH = "base"
RECIPE = 1  # another number for another way to make it
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# Needed to install packages, or nowhere: a tree of half as many files is deployed twice as fast.
REMOVED = ("usr/bin/perl*", "usr/lib/*/perl*", "usr/share/perl*", "usr/share/zoneinfo", "usr/lib/*/gconv", "usr/share/bash-completion",
           "usr/share/zsh", "usr/share/lintian", "usr/share/debconf")
# Wait for hardware or a network, or wake up at night: nothing of a test vehicle's.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
          "getty.target", "console-getty.service", "systemd-hwdb-update.service", "systemd-binfmt.service", "motd-news.timer",
          "systemd-journal-catalog-update.service", "ldconfig.service", "systemd-networkd-wait-online.service")
LINKS = {"home": "var/home", "root": "var/roothome", "opt": "var/opt", "srv": "var/srv", "mnt": "var/mnt", "media": "run/media",
         "tmp": "sysroot/tmp", "ostree": "sysroot/ostree", "usr/local": "../var/usrlocal"}
TMPFILES = "".join("d %s %s root root -\n" % entry for entry in (
    ("/var/home", "0755"), ("/var/roothome", "0700"), ("/var/opt", "0755"), ("/var/srv", "0755"), ("/var/mnt", "0755"),
    ("/var/usrlocal", "0755"), ("/sysroot/tmp", "1777")))


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise AssertionError("%s: status %d\n%s" % (" ".join(command)[:200], result.returncode, (result.stdout + result.stderr)[-3000:]))
    return result.stdout.strip()


def suite():
    """The Debian that the programs were built on: they need its libraries."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        raise AssertionError("the container vehicle is made of Debian packages, and this system is %s" % release.get("PRETTY_NAME"))
    return release["VERSION_CODENAME"]


def cache():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/cache", "uptaned-tests")


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def _bootstrap(root, packages):
    left_out = ["--dpkgopt=path-exclude=" + pattern for pattern in LEFT_OUT]
    # its mounts below root are in a namespace that ends with it: whatever happens, removing root removes no more than root
    run("unshare", "--mount", "--propagation=private", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
        "--aptopt=APT::Install-Recommends \"false\"", "--dpkgopt=force-unsafe-io", *left_out, "--include=" + ",".join(packages), suite(), root)


def _as_ostree(root):
    """/etc becomes usr/etc; what belongs to one vehicle goes to /var, and /var itself is made at boot."""
    removed = [path for pattern in REMOVED for path in glob.glob(os.path.join(root, pattern))]
    for path in [os.path.join(root, name) for name in ("boot", "dev", "proc", "run", "sys", "var", *LINKS)] + removed:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "var"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(root, name))
    for name in ("machine-id", "hostname", "resolv.conf"):
        path = os.path.join(root, "etc", name)
        if os.path.lexists(path):
            os.unlink(path)  # it may be a link to anywhere
        _write(path, "")
    for unit in MASKED:
        os.symlink("/dev/null", os.path.join(root, "etc/systemd/system", unit))
    _write(os.path.join(root, "usr/lib/tmpfiles.d/ostree-layout.conf"), TMPFILES)
    os.rename(os.path.join(root, "etc"), os.path.join(root, "usr/etc"))


def _move_kernel(root):
    """From /boot to where OSTree looks for it; Debian's initramfs, which knows no OSTree, stays behind."""
    [kernel] = glob.glob(os.path.join(root, "boot/vmlinuz-*"))
    version = os.path.basename(kernel).split("-", 1)[1]
    modules = os.path.join(root, "usr/lib/modules", version)
    os.rename(kernel, os.path.join(modules, "vmlinuz"))
    for path in glob.glob(os.path.join(modules, "kernel/**/*.ko"), recursive=True):
        if not any(fnmatch.fnmatch(os.path.basename(path)[:-len(".ko")], pattern) for pattern in MODULES):
            os.unlink(path)
    run("depmod", "--basedir=" + root, version)
    for name in ("vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"):
        if os.path.islink(os.path.join(root, name)):
            os.unlink(os.path.join(root, name))


def _make(folder, packages):
    root = os.path.join(folder, "root")
    repo = os.path.join(folder, "repo")
    _bootstrap(root, packages)
    if packages != PACKAGES:
        _move_kernel(root)
    _as_ostree(root)
    for path, mode in ((repo, "bare"), (repo + "-archive", "archive-z2")):
        run("ostree", "init", "--repo=" + path, "--mode=" + mode)
    run("ostree", "--repo=" + repo, "commit", "--branch=" + BRANCH, "--tree=dir=" + root, "--subject=Debian")
    run("ostree", "--repo=" + repo + "-archive", "pull-local", repo, BRANCH)
    shutil.rmtree(root)


@contextlib.contextmanager
def _locked(name):
    """Nobody waits for one that he does not want."""
    with open(name + ".lock", "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _name(packages):
    recipe = repr((RECIPE, suite(), platform.machine(), packages, LEFT_OUT, REMOVED, MASKED, LINKS, TMPFILES)
                  + (() if packages == PACKAGES else MODULES))
    return os.path.join(cache(), "debian-" + hashlib.sha256(recipe.encode()).hexdigest()[:16])


def _packages(kernel):
    return PACKAGES + KERNEL_PACKAGES if kernel else PACKAGES


def is_made(kernel=False):
    return os.path.isdir(_name(_packages(kernel)))


def base(kernel=False):
    """The repository (mode bare) whose branch BRANCH it is; beside it lies the same as an archive: NAME-archive."""
    packages = _packages(kernel)
    name = _name(packages)
    os.makedirs(cache(), exist_ok=True)
    with _locked(name):
        if not os.path.isdir(name):
            folder = tempfile.mkdtemp(prefix="making.", dir=cache())
            try:
                _make(folder, packages)
                os.chmod(folder, 0o755)
                os.rename(folder, name)  # it is there whole or not at all
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return os.path.join(name, "repo")
