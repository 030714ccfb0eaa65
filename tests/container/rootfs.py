# SPDX-License-Identifier: Apache-2.0
"""A root file system of Debian packages, in the form OSTree wants, as a branch of a repository that is made once and kept.

It lies in ${XDG_CACHE_HOME:-/var/cache}/uptaned-tests, under a name made of all that it is made from.
"""
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile

PACKAGES = ("dbus", "libcurl4", "libinih1", "libjansson4", "libostree-1-1", "libsqlite3-0", "libssl3", "ostree", "ostree-boot", "polkitd",
            "systemd", "systemd-sysv")
BRANCH = "base"
RECIPE = 1  # another number for another way to make it
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
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


def _bootstrap(root):
    left_out = ["--dpkgopt=path-exclude=" + pattern for pattern in LEFT_OUT]
    # its mounts below root are in a namespace that ends with it: whatever happens, removing root removes no more than root
    run("unshare", "--mount", "--propagation=private", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
        "--aptopt=APT::Install-Recommends \"false\"", "--dpkgopt=force-unsafe-io", *left_out, "--include=" + ",".join(PACKAGES), suite(), root)


def _as_ostree(root):
    """/etc becomes usr/etc, what belongs to one vehicle goes to /var, and /var itself is made at boot."""
    for name in ("boot", "dev", "proc", "run", "sys", "var", *LINKS):
        path = os.path.join(root, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
    for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "var"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(root, name))
    for name in ("machine-id", "hostname", "resolv.conf"):
        _write(os.path.join(root, "etc", name), "")
    for unit in MASKED:
        os.symlink("/dev/null", os.path.join(root, "etc/systemd/system", unit))
    _write(os.path.join(root, "usr/lib/tmpfiles.d/ostree-layout.conf"), TMPFILES)
    os.rename(os.path.join(root, "etc"), os.path.join(root, "usr/etc"))


def _make(folder):
    root = os.path.join(folder, "root")
    repo = os.path.join(folder, "repo")
    _bootstrap(root)
    _as_ostree(root)
    for path, mode in ((repo, "bare"), (repo + "-archive", "archive-z2")):
        run("ostree", "init", "--repo=" + path, "--mode=" + mode)
    run("ostree", "--repo=" + repo, "commit", "--branch=" + BRANCH, "--tree=dir=" + root, "--subject=Debian")
    run("ostree", "--repo=" + repo + "-archive", "pull-local", repo, BRANCH)
    shutil.rmtree(root)


@contextlib.contextmanager
def _locked(folder):
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _name():
    recipe = repr((RECIPE, suite(), platform.machine(), PACKAGES, LEFT_OUT, MASKED, LINKS, TMPFILES))
    return os.path.join(cache(), "debian-" + hashlib.sha256(recipe.encode()).hexdigest()[:16])


def is_made():
    return os.path.isdir(_name())


def base():
    """The repository (mode bare) whose branch BRANCH it is; beside it lies the same as an archive: NAME-archive."""
    name = _name()
    os.makedirs(cache(), exist_ok=True)
    with _locked(cache()):
        if not os.path.isdir(name):
            folder = tempfile.mkdtemp(prefix="making.", dir=cache())
            try:
                _make(folder)
                os.chmod(folder, 0o755)
                os.rename(folder, name)  # it is there whole or not at all
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return os.path.join(name, "repo")
