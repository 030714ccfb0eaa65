# SPDX-License-Identifier: Apache-2.0
"""How uptane-ostree gets a commit: whole, verified, no faster than allowed, and only if there is room for it."""
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest
from gi.repository import Gio, GLib
from helpers_fixture import OstreeClient, run
from ostree_fixture import NEEDS_ROOT, authority, booted, fails, helper, repo, server, start, sysroot  # noqa: F401

pytestmark = NEEDS_ROOT


class Steps:
    """What the helper says while it works, over this connection."""

    def __init__(self, client):
        self.steps = []
        client.connection.signal_subscribe(None, client.interface, "Step", client.object_path, None, Gio.DBusSignalFlags.NONE,
                                           lambda *a: self.steps.append(a[5].unpack()))

    def seen(self, seconds=5):
        context, end = GLib.MainContext.default(), time.monotonic() + seconds
        while not self.steps and time.monotonic() < end:
            context.iteration(False)
        while context.iteration(False):
            pass
        return self.steps


def objects(server):
    return [p for p in server.paths() if "/objects/" in p]


def local(sysroot, remote_path):
    """Where the sysroot keeps what the server has under this path."""
    return sysroot.path / "ostree/repo" / remote_path.replace(".filez", ".file")


def damage(path):
    """Other bytes of the same length in the object, not in the files of the deployments that are linked to it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    mode = os.stat(path).st_mode
    path.unlink()
    path.write_bytes(data)
    os.chmod(path, mode)


def object_of(repo, commit, kind, needle=None):
    """Path of an object of this commit and of no other."""
    def names(c):
        done = subprocess.run(["ostree", f"--repo={repo.path}", "ls", "-R", "-C", c], capture_output=True, text=True, check=True)
        found = set()
        for line in done.stdout.splitlines():
            sums = re.findall(r"\b[0-9a-f]{64}\b", line)
            if kind == "filez" and line.startswith("-") and (not needle or needle in line):
                found.add(sums[0])
            elif kind == "dirtree" and line.startswith("d") and (not needle or line.endswith(needle)):
                found.add(sums[0])
        return found
    others = set().union(*(names(c) for c in (repo.first, repo.second, repo.third) if c != commit))
    checksum = sorted(names(commit) - others)[0]
    return f"objects/{checksum[:2]}/{checksum[2:]}.{kind}"


# ---- whole, and nothing twice ----

def test_a_pull_that_was_cut_goes_on_with_the_rest(helper, server, sysroot, repo):  # noqa: F811
    wanted = object_of(repo, repo.second, "filez", "usr/bin/big")

    def serve_until_death(handler):
        server.broken.set()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    server.routes["/ostree/" + wanted] = serve_until_death
    with OstreeClient(helper) as c:
        fails("Network", c.pull, server.repo_url, repo.second)
    served = set(objects(server))
    assert server.broken.is_set() and len(served) > 5
    server.routes.clear()
    server.requests.clear()
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
    again = set(objects(server))
    assert "/ostree/" + wanted in again
    # only what the first pull has not got: what was on its way when the server died may be among it
    assert len(again) < len(served) / 2, sorted(again)
    sysroot.ostree("fsck", "-q")


@pytest.mark.parametrize("kind, needle", [("filez", "usr/bin/big"), ("filez", "app.conf"), ("dirtree", None), ("commit", None)])
@pytest.mark.parametrize("what", ["damaged", "missing"])
def test_t45_an_object_that_went_bad_on_the_disk_is_never_deployed_and_got_again(helper, server, sysroot, repo, kind, needle, what):  # noqa: F811
    remote = f"objects/{repo.second[:2]}/{repo.second[2:]}.commit" if kind == "commit" else object_of(repo, repo.second, kind, needle)
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        path = local(sysroot, remote)
        if what == "damaged":
            damage(path)
        else:
            path.unlink()
        server.requests.clear()
        fails("NotFound" if (kind, what) == ("commit", "missing") else "CommitDamaged", c.deploy, repo.second)
        assert sysroot.deployments() == [repo.first]
        c.pull(server.repo_url, repo.second)
        assert "/ostree/" + remote in objects(server) and len(objects(server)) < 8, objects(server)
        sysroot.ostree("fsck", "-q")
        assert c.deploy(repo.second) is True


def test_what_is_found_damaged_by_a_pull_is_got_again_at_once(helper, server, sysroot, repo):  # noqa: F811
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        bad = [object_of(repo, repo.second, "filez", "usr/bin/big"), object_of(repo, repo.second, "dirtree")]
        for path in bad:
            damage(local(sysroot, path))
        server.requests.clear()
        c.pull(server.repo_url, repo.second)
        assert set("/ostree/" + path for path in bad) <= set(objects(server))
        assert c.deploy(repo.second) is True
    sysroot.ostree("fsck", "-q")


def test_damage_that_the_server_cannot_mend_is_an_error_and_the_old_deployment_stays(helper, server, sysroot, repo):  # noqa: F811
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        bad = object_of(repo, repo.second, "filez", "usr/bin/big")
        damage(local(sysroot, bad))
        server.routes["/ostree/" + bad] = lambda h: h.answer(404)
        fails("NotFound", c.pull, server.repo_url, repo.second)
        fails("NotFound", c.deploy, repo.second)
        assert sysroot.deployments() == [repo.first]
        server.routes.clear()
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True


def test_objects_are_counted_while_they_come_and_while_they_are_verified(helper, server, repo):  # noqa: F811
    for path in repo.content_objects(repo.second)[:3]:
        server.routes["/ostree/" + path] = lambda h: (time.sleep(1.5), repo.serve(h))
    with OstreeClient(helper) as c:
        steps = Steps(c)
        c.pull(server.repo_url, repo.second)
        seen = steps.seen()
    assert {"downloading", "verifying"} <= {what for what, _, _ in seen}, seen
    assert all(0 < done <= total for what, done, total in seen if what == "downloading")


def test_what_was_verified_in_this_boot_and_has_not_changed_is_not_read_again(helper, server, sysroot, repo):  # noqa: F811
    def verified(client, call):
        steps = Steps(client)
        call()
        client.status()
        return any(what == "verifying" for what, _, _ in steps.seen(1))
    known = pathlib.Path("/run/ostree/uptane-verified")
    with OstreeClient(helper) as c:
        assert verified(c, lambda: c.pull(server.repo_url, repo.second))
        assert not verified(c, lambda: c.pull(server.repo_url, repo.second))
        known.unlink()  # as a boot does
        assert verified(c, lambda: c.pull(server.repo_url, repo.second))
        path = local(sysroot, object_of(repo, repo.second, "filez", "app.conf"))
        with open(path, "r+b") as f:  # the same inode, the same length, and the old time of change
            data, times = bytearray(f.read()), os.stat(path)
            f.seek(0)
            f.write(bytes([data[0] ^ 1]))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        fails("CommitDamaged", c.deploy, repo.second)
        c.pull(server.repo_url, repo.second)
        assert not verified(c, lambda: c.deploy(repo.second))


# ---- speed ----

def test_a_pull_is_no_faster_than_allowed(helper, server, repo):  # noqa: F811
    def seconds(commit, **options):
        begin = time.monotonic()
        with OstreeClient(helper) as c:
            c.pull(server.repo_url, commit, **options)
        return time.monotonic() - begin
    at_once = seconds(repo.third)
    assert seconds(repo.second, max_speed=100_000) > 2.5 > at_once  # 300000 bytes that cannot be compressed


# ---- static deltas ----

@pytest.fixture
def deltas(repo):  # noqa: F811
    run("ostree", f"--repo={repo.path}", "static-delta", "generate", f"--from={repo.first}", f"--to={repo.second}")
    run("ostree", f"--repo={repo.path}", "summary", "-u")
    yield [p for p in repo.path.glob("deltas/*/*/*")]
    for path in [*repo.path.glob("deltas"), *repo.path.glob("delta-indexes"), *repo.path.glob("summary*")]:
        run("rm", "-rf", path)


def delta_requests(server):
    return [p for p in server.paths() if "/delta" in p]


def test_static_deltas_are_asked_for_only_where_that_is_wanted(helper, server, sysroot, repo, deltas):  # noqa: F811
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.third)
        assert delta_requests(server) == [] and objects(server)
        server.requests.clear()
        c.pull(server.repo_url, repo.second, deltas=True)
        assert any("superblock" in p for p in delta_requests(server))
        assert not [p for p in objects(server) if p.endswith(".filez")]
        assert c.deploy(repo.second) is True
    sysroot.ostree("fsck", "-q")


def test_t45_a_malformed_static_delta_is_refused_and_the_same_commit_comes_without(helper, server, sysroot, repo, deltas):  # noqa: F811
    for path in deltas:
        data = bytearray(path.read_bytes())
        for i in range(len(data) // 3, len(data), 97):
            data[i] ^= 0x55
        server.routes[f"/ostree/{path.relative_to(repo.path)}"] = lambda h, data=bytes(data): h.answer(200, data)
    with OstreeClient(helper) as c:
        with pytest.raises(Exception) as caught:
            c.pull(server.repo_url, repo.second, deltas=True)
        assert caught.value.name in ("ImageMismatch", "System", "Network", "NotFound"), str(caught.value)
        assert delta_requests(server)
        fails("NotFound", c.deploy, repo.second)
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
    sysroot.ostree("fsck", "-q")


# ---- room ----

class Disk:
    """A small ext4 in the place of a folder of the sysroot, with what is in there."""

    def __init__(self, folder, name, place, mib):
        self.image, self.place = folder / (name + ".img"), place
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-d", place, self.image)
        run("mount", "-o", "loop", self.image, place)

    def available(self):
        vfs = os.statvfs(self.place)
        return vfs.f_bavail * vfs.f_frsize

    def fill(self, leave):
        """So that this many bytes are left."""
        with open(self.place / "filling", "wb") as f:
            os.posix_fallocate(f.fileno(), 0, self.available() - leave)

    def empty(self):
        (self.place / "filling").unlink()

    def close(self):
        run("umount", "-l", self.place)


@pytest.fixture
def disk(tmp_path, sysroot):  # noqa: F811
    """A function: the folder of the sysroot that becomes a disk of its own."""
    made = []

    def make(name, mib):
        made.append(Disk(tmp_path, name.replace("/", "-"), sysroot.path / name, mib))
        return made[-1]
    sysroot.ostree("config", "set", "core.min-free-space-percent", "0")
    yield make
    for d in reversed(made):
        d.close()


def numbers(message):
    needed, available = re.search(r"(\d+) KiB are needed, (\d+) KiB are available", message).groups()
    return int(needed), int(available)


@pytest.fixture(scope="module")
def sized(repo):  # noqa: F811
    """A commit that says how big its objects are."""
    tree = repo.folder / "tree-sized"
    run("cp", "-a", repo.folder / "tree-2", tree)
    (tree / "usr/bin/big").write_bytes(os.urandom(3_000_000))
    (tree / "usr/lib/modules/6.1.0-test/vmlinuz").write_bytes(os.urandom(2_000_000))
    return run("ostree", f"--repo={repo.path}", "commit", "-b", "test/sized", f"--tree=dir={tree}", "--owner-uid=0", "--owner-gid=0",
               "--generate-sizes", "-s", "sized")


@pytest.fixture(scope="module")
def unsized(repo, sized):  # noqa: F811
    tree = repo.folder / "tree-sized"
    return run("ostree", f"--repo={repo.path}", "commit", "-b", "test/unsized", f"--tree=dir={tree}", "--owner-uid=0", "--owner-gid=0",
               "-s", "unsized")


def big_requests(server, repo, commit):  # noqa: F811
    """What was asked for of what is in this commit alone: the big file, the kernel."""
    return [p for p in objects(server) if p.endswith(".filez") and os.path.getsize(repo.path / p.removeprefix("/ostree/")) > 1_000_000]


def test_a_commit_that_does_not_fit_is_refused_before_it_is_fetched(disk, helper, server, sysroot, repo, sized):  # noqa: F811
    d = disk("ostree", 64)
    d.fill(leave=4 << 20)
    before = sorted(p.name for p in (sysroot.path / "ostree/repo/objects").glob("*/*"))
    with OstreeClient(helper) as c:
        needed, available = numbers(fails("NoSpace", c.pull, server.repo_url, sized))
        assert 5_000_000 < needed * 1024 < 5_200_000 and 0 < available * 1024 < 4 << 20
        assert not big_requests(server, repo, sized)
        added = set(p.name for p in (sysroot.path / "ostree/repo/objects").glob("*/*")) - set(before)
        assert added <= {sized[2:] + ".commit"}
        assert sysroot.deployments() == [repo.first]
        d.empty()
        c.pull(server.repo_url, sized)
        assert c.deploy(sized) is True


def test_the_length_of_the_image_is_what_it_needs_where_the_commit_does_not_say(disk, helper, server, repo, unsized):  # noqa: F811
    d = disk("ostree", 64)
    d.fill(leave=8 << 20)
    with OstreeClient(helper) as c:
        needed, available = numbers(fails("NoSpace", c.pull, server.repo_url, unsized, size=100 << 20))
        assert needed == 100 << 10 and available <= 8 << 10
        assert not big_requests(server, repo, unsized)
        c.pull(server.repo_url, unsized, size=6 << 20)


def test_the_reserve_of_the_repository_is_left_alone(disk, helper, server, sysroot, sized):  # noqa: F811
    d = disk("ostree", 64)
    sysroot.ostree("config", "set", "core.min-free-space-size", "20MB")
    d.fill(leave=22 << 20)
    with OstreeClient(helper) as c:
        _, available = numbers(fails("NoSpace", c.pull, server.repo_url, sized))
        assert available < 3 << 10


def test_t45_a_disk_that_is_full_in_the_middle_is_told_and_left_as_it_was(disk, helper, server, sysroot, repo, unsized):  # noqa: F811
    d = disk("ostree", 64)
    d.fill(leave=3 << 20)
    before = d.available()
    with OstreeClient(helper) as c:
        fails("NoSpace", c.pull, server.repo_url, unsized)
        assert not list((sysroot.path / "ostree/repo/tmp").glob("staging-*/*"))
        assert d.available() > before - (256 << 10), "something half-written stayed"
        fails("NotFound", c.deploy, unsized)
        assert sysroot.deployments() == [repo.first]
        d.empty()
        c.pull(server.repo_url, unsized)
        assert c.deploy(unsized) is True
    sysroot.ostree("fsck", "-q")


@pytest.mark.parametrize("which", ["sized", "unsized"])
def test_a_kernel_that_does_not_fit_into_boot_is_refused_before_the_rest_is_fetched(disk, helper, server, sysroot, repo, request, which):  # noqa: F811
    commit = request.getfixturevalue(which)
    d = disk("boot", 16)
    d.fill(leave=1 << 20)
    big = "/ostree/" + object_of_file(repo, commit, "usr/bin/big")
    with OstreeClient(helper) as c:
        message = fails("NoSpace", c.pull, server.repo_url, commit)
        needed, available = numbers(message)
        assert "/boot" in message and 2_000_000 < needed * 1024 < 2_400_000 and available <= 1 << 10
        assert big not in objects(server)
        d.empty()
        c.pull(server.repo_url, commit)
        d.fill(leave=1 << 20)  # by somebody else, meanwhile
        assert "/boot" in fails("NoSpace", c.deploy, commit)
        assert sysroot.deployments() == [repo.first]
        d.empty()
        assert c.deploy(commit) is True
    assert sysroot.deployments() == [commit, repo.first]


def object_of_file(repo, commit, path):  # noqa: F811
    line = run("ostree", f"--repo={repo.path}", "ls", "-C", commit, "/" + path)
    checksum = re.findall(r"\b[0-9a-f]{64}\b", line)[0]
    return f"objects/{checksum[:2]}/{checksum[2:]}.filez"


def test_a_kernel_that_is_there_already_needs_no_room(disk, helper, server, sysroot, repo, sized):  # noqa: F811
    d = disk("boot", 16)
    tree = repo.folder / "tree-same-kernel"
    run("cp", "-a", repo.folder / "tree-sized", tree)
    (tree / "usr/bin/more").write_text("more\n")
    same = run("ostree", f"--repo={repo.path}", "commit", "-b", "test/same", f"--tree=dir={tree}", "--owner-uid=0", "--owner-gid=0", "-s", "same")
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, sized)
        c.deploy(sized)
        c.mark_good()
        d.fill(leave=1 << 20)
        c.pull(server.repo_url, same)
        assert c.deploy(same) is True
    assert sysroot.deployments()[0] == same


# ---- whose it is ----

def test_t45_a_commit_for_another_architecture_is_refused_before_it_is_fetched(helper, server, sysroot, repo):  # noqa: F811
    machine, tree = os.uname().machine, repo.folder / "tree-2"
    alias = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    commits = {name: run("ostree", f"--repo={repo.path}", "commit", "-b", "test/" + name, f"--tree=dir={tree}", "--owner-uid=0",
                         "--owner-gid=0", "-s", name, "--add-metadata-string=ostree.architecture=" + name)
               for name in {machine, alias, "s390x"}}
    with OstreeClient(helper) as c:
        message = fails("HardwareMismatch", c.pull, server.repo_url, commits["s390x"])
        assert "s390x" in message and machine in message
        assert {p.rsplit(".")[-1] for p in objects(server)} <= {"commit", "commitmeta"}
        fails("NotFound", c.deploy, commits["s390x"])
        sysroot.ostree("pull-local", repo.path, commits["s390x"])  # however it got there
        fails("HardwareMismatch", c.deploy, commits["s390x"])
        for name in (machine, alias):
            c.pull(server.repo_url, commits[name])
            assert c.deploy(commits[name]) is True


# ---- what stays ----

def disk_use(path):
    """Of files, each once; the folders that objects are in are 256 at most, and stay."""
    found = {}
    for p in path.rglob("*"):
        if p.is_file() and not p.is_symlink():
            found[p.stat().st_ino] = p.stat().st_blocks * 512
    return sum(found.values())


def commits_of(sysroot):  # noqa: F811
    return {p.parent.name + p.stem for p in (sysroot.path / "ostree/repo/objects").glob("*/*.commit")}


def test_disk_use_does_not_grow_with_the_number_of_updates(helper, server, sysroot, repo):  # noqa: F811
    use = []
    versions = [repo.commit(f"grow-{i}") for i in range(6)]
    with OstreeClient(helper) as c:
        for i, commit in enumerate(versions):
            c.pull(server.repo_url, commit)
            c.deploy(commit)
            c.mark_good()
            c.status()  # comes after the clean-up, which is behind the answer
            use.append(disk_use(sysroot.path))
            assert sysroot.deployments() == [commit, versions[i - 1] if i else repo.first]
            assert commits_of(sysroot) == set(sysroot.deployments())
    assert max(use[1:]) < use[0] * 1.05, use
    assert len(list((sysroot.path / "boot/ostree").iterdir())) == 2
    sysroot.ostree("fsck", "-q")


def test_what_a_trial_could_need_is_kept_until_it_is_over(helper, server, sysroot, repo):  # noqa: F811
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        sysroot.ostree("prune", "--refs-only")
        c.pull(server.repo_url, repo.third)  # not deployed yet
        c.mark_good()
        c.status()
        assert commits_of(sysroot) == {repo.first, repo.second, repo.third}
        assert c.deploy(repo.third) is True


# ---- read-only mounts ----

@pytest.mark.parametrize("systemd", [False, True])
def test_what_is_mounted_read_only_is_writable_for_the_helper_alone(booted, server, sysroot, repo, systemd):  # noqa: F811
    with OstreeClient(booted(systemd=systemd, read_only=True)) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        c.mark_good()
        shell = booted.activator.process.pid
        with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as f, open(f"/proc/{f.read().split()[0]}/mountinfo",
                                                                                       encoding="ascii") as mounts:
            options = {line.split()[4]: line.split()[5] for line in mounts}
        assert [o.split(",")[0] for path, o in options.items() if path.endswith(("/sysroot", "/boot"))] == ["ro", "ro"], options
    assert sysroot.deployments() == ([repo.first] if systemd else [repo.second, repo.first])
    sysroot.ostree("fsck", "-q")


def test_a_commit_is_known_by_its_hash_whatever_refs_it_is_bound_to(helper, server, sysroot, repo):  # noqa: F811
    commit = run("ostree", f"--repo={repo.path}", "commit", "--orphan", "--bind-ref=somebody/elses", f"--tree=dir={repo.folder / 'tree-2'}",
                 "--owner-uid=0", "--owner-gid=0", "-s", "bound")
    assert "somebody/elses" in run("ostree", f"--repo={repo.path}", "show", "--print-metadata-key=ostree.ref-binding", commit)
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, commit)
        assert c.deploy(commit) is True
    assert sysroot.deployments()[0] == commit


# ---- kernel arguments ----

def wishing(repo, name, append=(), delete=(), **other):  # noqa: F811
    metadata = {"uptane.kargs-append": append, "uptane.kargs-delete": delete}
    words = [f"--add-metadata={key}={GLib.Variant('as', list(value)).print_(True)}" for key, value in metadata.items() if value]
    words += [f"--add-metadata={key}={value}" for key, value in other.items()]
    return run("ostree", f"--repo={repo.path}", "commit", "-b", "test/" + name, f"--tree=dir={repo.folder / 'tree-2'}", "--owner-uid=0",
               "--owner-gid=0", "-s", name, *words)


@pytest.fixture
def willing(tmp_path, sysroot, authority):  # noqa: F811
    activator = start(tmp_path / "willing", sysroot, authority, "--allow-http", "--allow-karg=quiet", "--allow-karg=console=tty*",
                      "--allow-karg=ostree*", "--allow-karg=*[ ;]*")
    yield activator.socket
    activator.stop()


def arguments(sysroot, number=0):  # noqa: F811
    line = next(line for line in sysroot.boot_entries()[number].splitlines() if line.startswith("options "))
    return [word for word in line.split()[1:] if not word.startswith("ostree=")]


def deploy(helper, server, commit):  # noqa: F811
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, commit)
        assert c.deploy(commit) is True


def test_a_commits_wishes_are_not_heard_by_default(helper, server, sysroot, repo):  # noqa: F811
    deploy(helper, server, wishing(repo, "wish", append=["init=/bin/sh"], delete=["quiet"]))
    assert arguments(sysroot) == ["root=LABEL=agl", "quiet"]


def test_allowed_wishes_are_fulfilled_and_carried_over(willing, server, sysroot, repo):  # noqa: F811
    deploy(willing, server, wishing(repo, "wish", append=["console=ttyS0", "console=tty1"], delete=["quiet", "console=ttyS9"]))
    assert arguments(sysroot) == ["root=LABEL=agl", "console=ttyS0", "console=tty1"]
    assert arguments(sysroot, 1) == ["root=LABEL=agl", "quiet"]  # to fall back to
    deploy(willing, server, repo.third)
    assert arguments(sysroot) == ["root=LABEL=agl", "console=ttyS0", "console=tty1"]
    deploy(willing, server, wishing(repo, "again", append=["console=ttyS0"]))
    assert arguments(sysroot) == ["root=LABEL=agl", "console=ttyS0", "console=tty1"]


@pytest.mark.parametrize("append, delete", [
    (["init=/bin/sh"], []), ([], ["root=LABEL=agl"]), (["console=ttyS0", "quiet2"], []), (["quiet\noptions x"], []), (["console=tty 1"], []),
    (["console=tty;1"], []), (["ostree=/ostree/boot.1/x"], []), ([], ["ostree=x"]), ([""], []), (["console=tty" + "1" * 300], []),
    (["quiet"] * 33, []), (["console=tty\"a"], []),
])
def test_other_wishes_are_refused_and_nothing_is_deployed(willing, server, sysroot, repo, append, delete):  # noqa: F811
    commit = wishing(repo, "wish", append, delete)
    with OstreeClient(willing) as c:
        assert "uptane.kargs-" in fails("KernelArgument", c.pull, server.repo_url, commit)
        assert not any("/dirtree" in p or p.endswith((".filez", ".dirtree")) for p in server.paths())
    assert sysroot.deployments() == [repo.first] and not sysroot.pinned()


def test_wishes_of_another_form_are_refused(willing, server, sysroot, repo):  # noqa: F811
    commit = wishing(repo, "form", **{"uptane.kargs-append": "'quiet'"})
    with OstreeClient(willing) as c:
        fails("KernelArgument", c.pull, server.repo_url, commit)
    assert sysroot.deployments() == [repo.first]


def test_wishes_of_a_commit_that_another_program_pulled_are_judged_too(willing, sysroot, repo):  # noqa: F811
    commit = wishing(repo, "wish", append=["init=/bin/sh"])
    sysroot.ostree("pull-local", repo.path, commit)
    with OstreeClient(willing) as c:
        assert "init=/bin/sh" in fails("KernelArgument", c.deploy, commit)
    assert sysroot.deployments() == [repo.first] and not sysroot.pinned()


def wanting(helper, server, commit, wanted, allowed=("console=*", "isolcpus=*", "my[-_]module.*"), deploy_only=False):  # noqa: F811
    with OstreeClient(helper) as c:
        c.kernel_arguments(allowed, wanted)
        if not deploy_only:
            c.pull(server.repo_url, commit)
        return c.deploy(commit)


def test_what_the_director_wants_takes_the_place_of_its_namesakes_and_is_carried_over(helper, server, sysroot, repo):  # noqa: F811
    wanting(helper, server, repo.second, ["console=tty0", "console=ttyS0", "isolcpus=1", "my-module.debug=1"])
    assert arguments(sysroot) == ["root=LABEL=agl", "quiet", "console=tty0", "console=ttyS0", "isolcpus=1", "my-module.debug=1"]
    assert arguments(sysroot, 1) == ["root=LABEL=agl", "quiet"]  # to fall back to
    wanting(helper, server, repo.third, ["isolcpus=2", "my_module.debug=0"])
    assert arguments(sysroot) == ["root=LABEL=agl", "quiet", "console=tty0", "console=ttyS0", "isolcpus=2", "my_module.debug=0"]
    deploy(helper, server, repo.second)  # nothing wanted: all stays
    assert arguments(sysroot) == ["root=LABEL=agl", "quiet", "console=tty0", "console=ttyS0", "isolcpus=2", "my_module.debug=0"]


def test_what_waits_for_a_reboot_is_made_again_where_other_arguments_are_wanted(helper, server, sysroot, repo):  # noqa: F811
    wanting(helper, server, repo.second, ["isolcpus=1"])
    before = sysroot.boot_entries()
    wanting(helper, server, repo.second, ["isolcpus=1"], deploy_only=True)
    assert sysroot.boot_entries() == before
    wanting(helper, server, repo.second, ["isolcpus=3"], deploy_only=True)
    assert arguments(sysroot) == ["root=LABEL=agl", "quiet", "isolcpus=3"]


@pytest.mark.parametrize("wanted", ["quiet2", "isolcpus", "isolcpus=1;2", "isolcpus=" + "1" * 300, "my-module", ""])
def test_what_the_vehicle_does_not_allow_is_refused_before_anything_is_fetched(helper, server, sysroot, repo, wanted):  # noqa: F811
    with OstreeClient(helper) as c:
        c.kernel_arguments(["console=*", "isolcpus=*", "my-module.*"], ["isolcpus=1", wanted])
        assert "kernelArguments: '%s' is not allowed" % wanted[:80] in fails("KernelArgument", c.pull, server.repo_url, repo.second)
        assert not server.requests
        sysroot.ostree("pull-local", repo.path, repo.second)
        fails("KernelArgument", c.deploy, repo.second)
    assert sysroot.deployments() == [repo.first] and not sysroot.pinned()


@pytest.mark.parametrize("wanted", [
    "root=/dev/sda9", "rootflags=x", "init=/bin/sh", "initrd=x", "rdinit=/bin/sh", "ro", "rw", "ostree=/x", "ostree.x=1", "rd.break",
    "rd.systemd.unit=x", "systemd.unit=rescue.target", "systemd.debug-shell", "single", "emergency", "rescue", "1", "S", "-b", "--", "lsm=x",
    "selinux=0", "enforcing=0", "apparmor=0", "lockdown=none", "module.sig-enforce=0", "dm-mod.create=x", "security=none"])
def test_what_decides_what_boots_is_never_changed_by_metadata_whatever_the_policy(helper, server, repo, wanted):  # noqa: F811
    with OstreeClient(helper) as c:
        c.kernel_arguments(["*"], [wanted])
        assert "'%s' is never changed by metadata" % wanted in fails("KernelArgument", c.pull, server.repo_url, repo.second)


def test_an_argument_that_may_not_be_changed_is_not_replaced_either(helper, server, sysroot, repo):  # noqa: F811
    wanting(helper, server, repo.second, ["console=hvc0"])
    with OstreeClient(helper) as c:
        c.kernel_arguments(["console=tty*"], ["console=tty1"])
        c.pull(server.repo_url, repo.third)
        assert "what is replaced: 'console=hvc0'" in fails("KernelArgument", c.deploy, repo.third)
    assert sysroot.deployments()[0] == repo.second


def test_too_many_wishes_are_refused_and_they_are_told_once(helper, server, repo):  # noqa: F811
    with OstreeClient(helper) as c:
        c.kernel_arguments(["*"], ["a=%d" % i for i in range(33)])
        fails("InvalidArgument", c.kernel_arguments, ["*"], [])
        fails("KernelArgument", c.pull, server.repo_url, repo.second)
