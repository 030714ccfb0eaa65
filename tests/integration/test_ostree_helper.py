# SPDX-License-Identifier: Apache-2.0
"""uptane-ostree as it runs, on a scratch sysroot (not booted), with an OSTree repository behind a server on the loopback interface."""
import fcntl
import os
import pathlib
import subprocess
import threading
import time

import pytest
from gi.repository import Gio, GLib

from helpers_fixture import DEVICE, OstreeClient, RemoteError, Sysroot, make_credentials, program, run, unused_port
from ostree_fixture import NEEDS_ROOT, RepoServer, authority, booted, fails, helper, repo, secure, server, start, strict, sysroot  # noqa: F401
from uboot import UBoot

pytestmark = NEEDS_ROOT


# ---- GetStatus ----

def test_status_is_the_first_deployment_where_nothing_is_booted(helper, repo):
    with OstreeClient(helper) as c:
        assert c.status() == repo.first


def test_status_of_an_empty_sysroot(tmp_path, authority):
    empty = Sysroot(tmp_path / "empty")
    activator = start(tmp_path / "helper", empty, authority)
    try:
        with OstreeClient(activator.socket) as c:
            assert c.status() == ""
    finally:
        activator.stop()


def test_no_sysroot_is_said(tmp_path, authority):
    (tmp_path / "nothing").mkdir()
    nothing = type("Nothing", (), {"path": tmp_path / "nothing"})
    activator = start(tmp_path / "helper", nothing, authority)
    try:
        with OstreeClient(activator.socket) as c:
            fails("InstallFailed", c.status)
    finally:
        activator.stop()


# ---- Pull and Deploy ----

def test_commit_is_pulled_deployed_and_next_to_boot(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        assert sysroot.deployments() == [repo.first]
        assert not c.is_deployed(repo.second)
        assert c.deploy(repo.second) is True
        assert c.status() == repo.second
        assert c.is_deployed(repo.second) and c.is_deployed(repo.first) and not c.is_deployed(repo.third)
    assert sysroot.deployments() == [repo.second, repo.first]  # the old one stays, to fall back to
    sysroot.ostree("fsck", "-q")


def test_kernel_arguments_and_etc_are_carried_over(helper, server, sysroot, repo):
    etc = next(sysroot.path.glob("ostree/deploy/*/deploy/*.0/etc"))
    (etc / "local.conf").write_text("mine")
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
    new, old = sysroot.boot_entries()
    assert "root=LABEL=agl quiet" in new and new.count("ostree=") == 1
    assert (sysroot.path / f"ostree/deploy/testos/deploy/{repo.second}.0/etc/local.conf").read_text() == "mine"


def test_deployed_image_is_named_in_the_origin(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second, "agl image\n[x] 'ü'")
    origin = (sysroot.path / f"ostree/deploy/testos/deploy/{repo.second}.0.origin").read_text()
    assert f"refspec={repo.second}" in origin and "image=agl image\\n[x] 'ü'" in origin


def test_deploying_twice_makes_one_deployment(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        assert c.deploy(repo.second) is True
        c.pull(server.repo_url, repo.second)
    assert sysroot.deployments() == [repo.second, repo.first]


def test_going_back_to_an_older_commit(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        for commit in (repo.second, repo.first):
            c.pull(server.repo_url, commit)
            c.deploy(commit)
        assert c.status() == repo.first
    assert sysroot.deployments()[0] == repo.first


def test_pulled_commit_survives_pruning_until_it_is_deployed(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
    sysroot.ostree("prune", "--refs-only")
    with OstreeClient(helper) as c:
        assert c.deploy(repo.second) is True
        assert "uptane/" not in sysroot.ostree("refs")
        c.pull(server.repo_url, repo.third)
        c.deploy(repo.third)
    sysroot.ostree("fsck", "-q")


def test_pull_leaves_no_trace_in_the_configuration(helper, server, sysroot, repo, tmp_path):
    before = (sysroot.path / "ostree/repo/config").read_text()
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
    assert (sysroot.path / "ostree/repo/config").read_text() == before
    assert sysroot.ostree("remote", "list") == ""
    assert not list((tmp_path / "helper").glob("uptane-ostree-*"))


def test_commit_that_is_there_needs_no_server(helper, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(f"http://127.0.0.1:{unused_port()}/", repo.first)


def test_deploy_without_pull_is_refused(helper, sysroot, repo):
    with OstreeClient(helper) as c:
        fails("NotFound", c.deploy, repo.second)
    assert sysroot.deployments() == [repo.first]


def locked(sysroot):
    lock = os.open(sysroot.path / "ostree/lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def test_a_locked_sysroot_is_waited_for(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        lock = locked(sysroot)
        opener = threading.Timer(0.5, os.close, [lock])
        opener.start()
        assert c.deploy(repo.second) is True
        assert not opener.is_alive()
    assert sysroot.deployments()[0] == repo.second


def wait_children(process, some):
    deadline = time.monotonic() + 20
    while bool(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()) != some:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_waiting_for_a_locked_sysroot_ends_with_the_connection(tmp_path, server, sysroot, authority, repo):
    activator = start(tmp_path / "helper", sysroot, authority, "--allow-http")
    lock = locked(sysroot)
    try:
        with OstreeClient(activator.socket) as c:
            c.pull(server.repo_url, repo.second)
            with pytest.raises(GLib.Error) as caught:
                c.deploy(repo.second, timeout=1)
            assert caught.value.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT)
            wait_children(activator.process, True)  # it is still waiting
        wait_children(activator.process, False)
    finally:
        os.close(lock)
        activator.stop()
    assert sysroot.deployments() == [repo.first]


def test_several_oses_need_a_name(tmp_path, sysroot, authority, server, repo):
    run("ostree", "admin", "os-init", f"--sysroot={sysroot.path}", "another")
    for folder, arguments, check in (("a", ["--allow-http"], lambda c: "--os" in fails("Config", c.deploy, repo.second)),
                                     ("b", ["--allow-http", "--os=testos"], lambda c: c.deploy(repo.second) is True)):
        activator = start(tmp_path / folder, sysroot, authority, *arguments)
        try:
            with OstreeClient(activator.socket) as c:
                c.pull(server.repo_url, repo.second)
                assert check(c)
        finally:
            activator.stop()


# ---- what is not pulled ----

@pytest.mark.parametrize("commit", ["", "main", "0" * 63, "0" * 65, "A" * 64, "../" * 21 + "x", "uptane:" + "0" * 57])
def test_only_a_commit_is_a_commit(helper, server, commit):
    with OstreeClient(helper) as c:
        fails("InvalidArgument", c.pull, server.repo_url, commit)
        fails("InvalidArgument", c.deploy, commit)
    assert server.requests == []


@pytest.mark.parametrize("url", ["file:///srv/repo", "mirrorlist=http://127.0.0.1/x", "ftp://127.0.0.1/", "https://", "", "/srv",
                                 "http://me:word@127.0.0.1/"])
def test_other_urls_are_refused(helper, repo, url):
    with OstreeClient(helper) as c:
        fails("InvalidArgument", c.pull, url, repo.second)


def test_plain_http_needs_a_switch(strict, server, repo):
    with OstreeClient(strict) as c:
        fails("InvalidArgument", c.pull, server.repo_url, repo.second)
    assert server.requests == []


def test_unknown_commit(helper, server, sysroot):
    with OstreeClient(helper) as c:
        fails("NotFound", c.pull, server.repo_url, "5" * 64)
        fails("NotFound", c.deploy, "5" * 64)


def test_missing_object_leaves_nothing_deployable_and_is_got_later(helper, server, sysroot, repo):
    for path in repo.content_objects(repo.second)[:3]:  # the only big file of each commit
        server.routes["/ostree/" + path] = lambda h: h.answer(404)
    with OstreeClient(helper) as c:
        fails("NotFound", c.pull, server.repo_url, repo.second)
        fails("NotFound", c.deploy, repo.second)
    got = set(server.paths())
    server.requests.clear()
    server.routes.clear()
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
    assert len(server.paths()) < len(got), "nothing was kept of what the first pull had got"


def test_t45_other_commit_under_the_name_of_the_wanted_one(helper, server, repo):
    path = f"/objects/{repo.second[:2]}/{repo.second[2:]}.commit"
    forged = repo.object_path(repo.third, "commit").read_bytes()
    server.routes["/ostree" + path] = lambda h: h.answer(200, forged)
    with OstreeClient(helper) as c:
        fails("ImageMismatch", c.pull, server.repo_url, repo.second)
        fails("NotFound", c.deploy, repo.second)


def test_t45_forged_content_object(helper, server, repo):
    paths = repo.content_objects(repo.second)[:3]
    for i, path in enumerate(paths):
        forged = (repo.path / paths[(i + 1) % 3]).read_bytes()
        server.routes["/ostree/" + path] = lambda h, forged=forged: h.answer(200, forged)
    with OstreeClient(helper) as c:
        fails("ImageMismatch", c.pull, server.repo_url, repo.second)
        fails("NotFound", c.deploy, repo.second)


def test_server_error(helper, server, repo):
    for path in repo.content_objects(repo.second)[:3]:
        server.routes["/ostree/" + path] = lambda h: h.answer(503)
    with OstreeClient(helper) as c:
        assert "503" in fails("Http", c.pull, server.repo_url, repo.second)


def test_full_disk_is_said(helper, server, sysroot, repo):
    sysroot.ostree("config", "set", "core.min-free-space-percent", "0")
    sysroot.ostree("config", "set", "core.min-free-space-size", "100TB")
    with OstreeClient(helper) as c:
        fails("NoSpace", c.pull, server.repo_url, repo.second)


def test_nobody_listening(helper, repo):
    with OstreeClient(helper) as c:
        fails("Network", c.pull, f"http://127.0.0.1:{unused_port()}/", repo.second)


# ---- TLS ----

def test_certificate_is_shown_only_on_request(strict, secure, repo):
    with OstreeClient(strict) as c:
        c.pull(secure.repo_url, repo.second)
        assert {r.device for r in secure.requests} == {None}
        secure.requests.clear()
        c.pull(secure.repo_url, repo.third, authenticate=True)
        assert {r.device for r in secure.requests} == {DEVICE}


def test_server_that_demands_a_certificate(strict, repo, authority):
    with RepoServer(repo, authority, demand=True) as s, OstreeClient(strict) as c:
        with pytest.raises(RemoteError):
            c.pull(s.repo_url, repo.second)
        c.pull(s.repo_url, repo.second, authenticate=True)


def test_unknown_authority_is_not_trusted(strict, repo, tmp_path):
    with RepoServer(repo, make_credentials(tmp_path / "other")) as s, OstreeClient(strict) as c:
        fails("Tls", c.pull, s.repo_url, repo.second)
        assert s.requests == []


# ---- cancelling ----

def test_closing_the_connection_ends_the_pull(helper, server, sysroot, repo):
    stalled, closed = threading.Event(), threading.Event()

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        stalled.set()
        try:
            for _ in range(100):
                handler.wfile.write(b"x" * 100)
                time.sleep(0.1)
        except OSError:
            closed.set()
            raise

    for path in repo.content_objects(repo.second)[:3]:
        server.routes["/ostree/" + path] = stall
    c = OstreeClient(helper)
    c.connection.call(None, c.object_path, c.interface, "Pull", c.pull_arguments(server.repo_url, repo.second), None,
                      Gio.DBusCallFlags.NONE, -1, None)
    c.connection.flush_sync(None)
    assert stalled.wait(10)
    c.close()
    assert closed.wait(5), "the helper went on pulling"


def test_progress_is_told(helper, server, repo):
    for path in repo.content_objects(repo.second)[:3]:
        server.routes["/ostree/" + path] = lambda h: (time.sleep(1), repo.serve(h))
    seen = []
    with OstreeClient(helper) as c:
        c.connection.signal_subscribe(None, c.interface, "Progress", c.object_path, None, Gio.DBusSignalFlags.NONE,
                                      lambda *a: seen.append(a[5].unpack()))
        c.pull(server.repo_url, repo.second)
        context, end = GLib.MainContext.default(), time.monotonic() + 5
        while not seen and time.monotonic() < end:
            context.iteration(False)
    assert seen and all(total == 0 for _, total in seen)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}) and seen[0][0] > 0


# ---- booted ----

def test_booted_vehicle_needs_a_reboot_into_what_is_deployed(booted, server, sysroot, repo):
    etc = next(sysroot.path.glob("ostree/deploy/*/deploy/*.0/etc"))
    before = sorted(p.name for p in etc.rglob("*"))
    with OstreeClient(booted()) as c:
        assert c.status() == repo.first
        assert c.deploy(repo.first) is False  # it runs, and is the next to boot
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        assert c.deploy(repo.second) is True
        assert c.status() == repo.first  # still
    assert sysroot.deployments() == [repo.second, repo.first]
    new, old = sysroot.boot_entries()
    assert "root=LABEL=agl quiet" in new and new.count("ostree=") == 1
    assert sorted(p.name for p in etc.rglob("*")) == before, "the pull left something in /etc"


def test_booted_vehicle_can_go_back_to_what_it_runs(booted, server, sysroot, repo):
    with OstreeClient(booted()) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        assert c.deploy(repo.first) is True
    assert sysroot.deployments()[0] == repo.first


def test_with_systemd_the_deployment_waits_for_the_shutdown(booted, server, sysroot, repo):
    with OstreeClient(booted(systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        assert c.deploy(repo.second) is True
        assert c.status() == repo.first
    assert sysroot.boot_entries() == [e for e in sysroot.boot_entries() if repo.second not in e]
    assert len(sysroot.boot_entries()) == 1


def test_staging_can_be_switched_off(booted, server, sysroot, repo):
    with OstreeClient(booted("--no-stage", systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
    assert sysroot.deployments() == [repo.second, repo.first]


# ---- trials ----

TRIAL = ["bootcount=0", "upgrade_available=1", "rollback=0"]


@pytest.fixture
def uboot(tmp_path):
    return UBoot(tmp_path / "uboot", bootcount=2, upgrade_available=0, rollback=1, board="x")


@pytest.fixture
def masked(tmp_path, sysroot, authority, uboot):
    activator = start(tmp_path / "masked", sysroot, authority, "--allow-http", "--boot=uboot-masked", PATH=uboot.path())
    yield activator.socket
    activator.stop()


def test_unknown_boot_driver_is_refused(tmp_path):
    done = subprocess.run([program("ostree", "uptane-ostree"), "--boot=grub"], capture_output=True, text=True, check=False)
    assert done.returncode == 76 and "grub" in done.stderr


def test_known_good_deployment_is_pinned_until_the_new_one_is_good(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        assert c.full_status() == (repo.first, [repo.first], False, False)
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        assert sysroot.pinned() == [repo.first]
        assert c.full_status() == (repo.second, [repo.second, repo.first], True, False)
        c.deploy(repo.second)  # again: the new one is not pinned
        assert sysroot.pinned() == [repo.first]
        c.mark_good()
        assert sysroot.pinned() == []
        assert c.full_status() == (repo.second, [repo.second, repo.first], False, False)
        c.mark_good()
        c.pull(server.repo_url, repo.third)
        c.deploy(repo.third)
    assert sysroot.deployments() == [repo.third, repo.second]  # the first was not needed any more
    sysroot.ostree("fsck", "-q")


def test_pin_of_somebody_else_stays(helper, server, sysroot, repo):
    run("ostree", "admin", f"--sysroot={sysroot.path}", "pin", "0")
    with OstreeClient(helper) as c:
        assert c.full_status()[2] is False
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        c.mark_good()
    assert sysroot.pinned() == [repo.first]


def test_rollback_puts_the_pinned_deployment_first(helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        assert c.rollback(repo.second) is True
        assert sysroot.deployments() == [repo.first, repo.second]
        assert c.full_status() == (repo.first, [repo.first, repo.second], True, False)
        assert c.rollback(repo.second) is True  # the same again changes nothing
        assert sysroot.deployments() == [repo.first, repo.second]
        c.mark_good()
        assert sysroot.pinned() == []
    assert "ostree=" in sysroot.boot_entries()[0]
    sysroot.ostree("fsck", "-q")


def test_rollback_without_anything_to_go_back_to_is_an_error(helper, sysroot, repo):
    with OstreeClient(helper) as c:
        assert "nothing to go back to" in fails("InstallFailed", c.rollback, repo.first)
        fails("InvalidArgument", c.rollback, "main")
    assert sysroot.deployments() == [repo.first]


def test_uboot_counts_before_the_new_deployment_is_written(masked, uboot, server, sysroot, repo):
    with OstreeClient(masked) as c:
        assert c.full_status() == (repo.first, [repo.first], False, True)
        c.pull(server.repo_url, repo.second)
        (uboot.folder / "broken").touch()
        assert "fw_printenv" in fails("BootLoader", c.deploy, repo.second)
        assert sysroot.deployments() == [repo.first]  # not without a count
        (uboot.folder / "broken").unlink()
        c.deploy(repo.second)
        assert uboot.calls() == TRIAL and uboot.values()["board"] == "x"
        assert c.full_status() == (repo.second, [repo.second, repo.first], True, False)
        uboot.set(bootcount=1)
        c.mark_good()
        assert uboot.calls() == ["bootcount=0", "upgrade_available=0"]
        assert c.full_status() == (repo.second, [repo.second, repo.first], False, False)


def test_uboot_count_of_a_deployment_that_was_written_before_a_power_cut_starts_anew(masked, uboot, server, repo):
    with OstreeClient(masked) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        uboot.set(bootcount=3, upgrade_available=0, rollback=1)
        uboot.calls()
        c.deploy(repo.second)
        assert uboot.calls() == TRIAL


def test_uboot_gives_the_old_software_as_many_tries_when_rolling_back(masked, uboot, server, sysroot, repo):
    with OstreeClient(masked) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        uboot.set(bootcount=2)
        uboot.calls()
        assert c.rollback(repo.second) is True
        assert uboot.calls() == ["bootcount=0"] and uboot.values()["upgrade_available"] == "1"
        assert sysroot.deployments() == [repo.first, repo.second]


def test_what_is_booted_is_known_without_the_boot_loaders_tools(masked, uboot, repo):
    (uboot.folder / "broken").touch()
    with OstreeClient(masked) as c:
        assert c.full_status() == (repo.first, [repo.first], True, False)
        fails("BootLoader", c.mark_good)


def test_systemd_boot_counts_in_the_new_entry(tmp_path, authority, server, sysroot, repo):
    def names():
        return sorted(p.name for p in (sysroot.path / "boot/loader/entries").iterdir())

    activator = start(tmp_path / "counting", sysroot, authority, "--allow-http", "--boot=systemd-boot")
    try:
        with OstreeClient(activator.socket) as c:
            c.pull(server.repo_url, repo.second)
            c.deploy(repo.second)
            assert names() == ["ostree-1-testos.conf", "ostree-2-testos+3.conf"]
            assert c.full_status() == (repo.second, [repo.second, repo.first], True, False)
            c.mark_good()
            assert names() == ["ostree-1-testos.conf", "ostree-2-testos.conf"]
            assert c.full_status() == (repo.second, [repo.second, repo.first], False, False)
            c.pull(server.repo_url, repo.third)
            c.deploy(repo.third)
            assert c.rollback(repo.third) is True
            assert sysroot.deployments() == [repo.second, repo.third]
            assert names() == ["ostree-1-testos.conf", "ostree-2-testos+3.conf"]  # the old one gets as many tries
            (sysroot.path / "boot/loader/entries/ostree-2-testos+3.conf").rename(
                sysroot.path / "boot/loader/entries/ostree-2-testos+0-3.conf")
            assert c.rollback(repo.third) is True
            assert names() == ["ostree-1-testos.conf", "ostree-2-testos+3.conf"]
    finally:
        activator.stop()


def test_booted_vehicle_pins_what_runs_and_rolls_back_to_it(booted, server, sysroot, repo):
    with OstreeClient(booted("--no-stage")) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
        assert sysroot.pinned() == [repo.first]
        assert c.full_status() == (repo.first, [repo.second, repo.first], True, False)
        assert c.rollback(repo.second) is False  # the old one runs
    assert sysroot.deployments() == [repo.first, repo.second]


def test_new_software_that_runs_rolls_back_to_what_was_pinned(booted, helper, server, sysroot, repo):
    with OstreeClient(helper) as c:
        c.pull(server.repo_url, repo.second)
        c.deploy(repo.second)
    with OstreeClient(booted("--no-stage")) as c:
        assert c.full_status() == (repo.second, [repo.second, repo.first], True, False)
        assert c.rollback(repo.second) is True
        assert c.full_status() == (repo.second, [repo.first, repo.second], True, False)
    assert sysroot.deployments() == [repo.first, repo.second]


def test_staged_deployment_pins_what_runs(booted, server, sysroot, repo):
    with OstreeClient(booted(systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        assert c.full_status() == (repo.first, [repo.second, repo.first], True, False)
    assert sysroot.pinned() == [repo.first]


def test_counted_entries_are_not_staged(booted, server, sysroot, repo):
    with OstreeClient(booted("--boot=systemd-boot", systemd=True)) as c:
        c.pull(server.repo_url, repo.second)
        assert c.deploy(repo.second) is True
        assert c.full_status() == (repo.first, [repo.second, repo.first], True, False)
    assert sysroot.deployments() == [repo.second, repo.first]
    assert (sysroot.path / "boot/loader/entries/ostree-2-testos+3.conf").exists()
