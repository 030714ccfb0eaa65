# SPDX-License-Identifier: Apache-2.0
"""Time and CPU of getting and deploying a tree of 300 MB of which a part has changed: uptane-ostree, which verifies every object,
beside `ostree pull` and `ostree admin deploy` of the same commits from the same server."""
import os
import pathlib
import random
import subprocess
import tempfile
import time

from helpers_fixture import Activator, OstreeClient, OstreeRepo, Server, Sysroot, make_credentials, make_tree, program, run

FILES, SIZE, PER_FOLDER = 6000, 50_000, 100
CHANGED = (1, 10, 100)  # percent
TICKS = os.sysconf("SC_CLK_TCK")


def fill(folder):
    """Files as of programs: half of each can be compressed away."""
    for i in range(FILES):
        write(folder, i, "first")


def write(folder, i, version):
    path = folder / f"usr/share/{i // PER_FOLDER}/{i}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(random.Random(f"{version} {i}").randbytes(SIZE // 2) + bytes(SIZE - SIZE // 2))


def commit(repo, tree, name):
    return run("ostree", f"--repo={repo.path}", "commit", "-b", name, f"--tree=dir={tree}", "--owner-uid=0", "--owner-gid=0", "-s", name)


class Measured:
    """Wall and CPU time, of what is run here and of its children that ended."""

    def __init__(self, cpu=lambda: sum(os.times()[2:4])):
        self.cpu = cpu

    def __enter__(self):
        self.begin, self.used = time.monotonic(), self.cpu()
        return self

    def __exit__(self, *_):
        self.wall, self.used = time.monotonic() - self.begin, self.cpu() - self.used


def child_cpu(activator):
    """Of the one program that serves the connection."""
    [pid] = pathlib.Path(f"/proc/{activator.process.pid}/task/{activator.process.pid}/children").read_text(encoding="ascii").split()
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def plain(sysroot, url, wanted):
    repo = f"--repo={sysroot.path}/ostree/repo"
    run("ostree", repo, "remote", "add", "--no-gpg-verify", "bench", url)
    with Measured() as pull:
        run("ostree", repo, "pull", "--disable-static-deltas", "bench", wanted)
    with Measured() as deploy:
        run("ostree", "admin", f"--sysroot={sysroot.path}", "deploy", f"--os={sysroot.os_name}", wanted)
    return pull, deploy


def ours(sysroot, url, wanted, folder, authority):
    folder.mkdir()
    activator = Activator(folder, [program("ostree", "uptane-ostree"), f"--sysroot={sysroot.path}", "--allow-http"],
                          CREDENTIALS_DIRECTORY=authority.folder, RUNTIME_DIRECTORY=folder)
    try:
        with OstreeClient(activator.socket) as client:
            client.call("GetStatus", None, "(sasbb)")
            with Measured(lambda: child_cpu(activator)) as pull:
                client.call("Pull", client.pull_arguments(url, wanted), "()", timeout=600)
            with Measured(lambda: child_cpu(activator)) as deploy:
                client.deploy(wanted, timeout=600)
        return pull, deploy
    finally:
        activator.stop()


def sysroot_with(folder, repo, first):
    sysroot = Sysroot(folder)
    sysroot.deploy_first(repo, first)
    os.sync()
    return sysroot


def measure(folder, repo, url, authority, first, wanted):
    one, other = sysroot_with(folder / "plain", repo, first), sysroot_with(folder / "ours", repo, first)
    try:
        return plain(one, url, wanted), ours(other, url, wanted, folder / "helper", authority)
    finally:
        one.remove()
        other.remove()


def main():
    print("%-10s %-8s %14s %14s %8s %14s %14s %8s" % ("changed", "", "plain wall s", "ours wall s", "ratio", "plain CPU s", "ours CPU s", "ratio"))
    with tempfile.TemporaryDirectory(prefix="uptaned-bench.", dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        authority, repo, tree = make_credentials(folder / "credentials"), OstreeRepo(folder), folder / "tree"
        make_tree(tree, 1)
        fill(tree)
        first = commit(repo, tree, "first")
        with Server() as server:
            class Routes(dict):
                def get(self, path, default=None):
                    return repo.serve if path.startswith("/ostree/") else default
            server.routes = Routes()
            for percent in CHANGED:
                for i in range(FILES * percent // 100):
                    write(tree, i, percent)
                wanted = commit(repo, tree, f"changed-{percent}")
                scratch = folder / f"run-{percent}"
                scratch.mkdir()
                for what, a, b in zip(("pull", "deploy"), *measure(scratch, repo, server.url("/ostree"), authority, first, wanted)):
                    print("%-10s %-8s %14.2f %14.2f %8.2f %14.2f %14.2f %8.2f" % (
                        f"{percent} %", what, a.wall, b.wall, b.wall / a.wall, a.used, b.used, b.used / max(a.used, 0.01)), flush=True)
        subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False, stderr=subprocess.DEVNULL)


main()
