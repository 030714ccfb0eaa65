# SPDX-License-Identifier: Apache-2.0
"""uptane-ostree on a scratch sysroot, with an OSTree repository behind a server on the loopback interface: fixtures to be imported."""
import os
import shutil
import subprocess

import pytest
from helpers_fixture import Activator, OstreeRepo, RemoteError, Server, Sysroot, make_credentials, program

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="deployments need root")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    repo = OstreeRepo(tmp_path_factory.mktemp("backend"))
    repo.first, repo.second, repo.third = repo.commit(1), repo.commit(2), repo.commit(3)
    return repo


class RepoServer(Server):
    """Serves the repository, except what is in self.routes."""

    def __init__(self, repo, authority=None, **kwargs):
        super().__init__(authority, **kwargs)
        self.routes = Routes(repo)
        self.repo_url = self.url("/ostree")


class Routes(dict):
    def __init__(self, repo):
        super().__init__()
        self.repo = repo

    def get(self, path, default=None):
        return super().get(path) or (self.repo.serve if path.startswith("/ostree/") else default)


@pytest.fixture
def server(repo):
    with RepoServer(repo) as s:
        yield s


@pytest.fixture
def secure(repo, authority):
    with RepoServer(repo, authority) as s:
        yield s


@pytest.fixture
def sysroot(tmp_path, repo):
    s = Sysroot(tmp_path / "sysroot")
    s.deploy_first(repo, repo.first, "root=LABEL=agl", "quiet")
    yield s
    s.remove()


def start(folder, sysroot, authority, *arguments, **environment):
    folder.mkdir()
    return Activator(folder, [program("ostree", "uptane-ostree"), f"--sysroot={sysroot.path}", *arguments],
                     CREDENTIALS_DIRECTORY=authority.folder, RUNTIME_DIRECTORY=folder, **environment)


@pytest.fixture
def helper(tmp_path, sysroot, authority):
    activator = start(tmp_path / "helper", sysroot, authority, "--allow-http")
    yield activator.socket
    activator.stop()


@pytest.fixture
def strict(tmp_path, sysroot, authority):
    """As in a vehicle: https only."""
    activator = start(tmp_path / "strict", sysroot, authority)
    yield activator.socket
    activator.stop()


def fails(name, f, *args, **kwargs):
    with pytest.raises(RemoteError) as caught:
        f(*args, **kwargs)
    assert caught.value.name == name, str(caught.value)
    return caught.value.message


@pytest.fixture
def booted(tmp_path, sysroot):
    """A function that starts the helper where the first deployment is the root; its arguments are the helper's."""
    if subprocess.run(["unshare", "-m", "-p", "-f", "true"], check=False).returncode != 0:
        pytest.skip("no namespaces here")
    shared, started = tmp_path / "shared", []
    shared.mkdir()
    shutil.copy(program("ostree", "uptane-ostree"), shared)

    def begin(*arguments, systemd=False, read_only=False):
        activator = begin.activator = Activator(shared, ["/run/shared/uptane-ostree", "--allow-http", *arguments],
                              wrap=(lambda argv: sysroot.booted_command(shared, argv, systemd, read_only), "/run/shared"))
        started.append(activator)
        return activator.socket

    yield begin
    for activator in started:
        activator.stop()
