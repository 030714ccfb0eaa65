# SPDX-License-Identifier: Apache-2.0
"""What the tests of the helper programs share: starting one as systemd would, calling it, and servers for it to talk to.

The programs are taken from $BUILD_DIR (the build folder; default: build/ below the project).
"""
import datetime
import http.server
import ipaddress
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import gi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gi.repository import Gio, GLib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", ROOT / "build"))
# uptane-secondary is linked statically where it is built small, and nothing can be preloaded into it: into this one it can
SECONDARY_WITH_LIBRARIES = "uptane-secondary-tls" if (BUILD / "daemon/secondary/uptane-secondary-tls").exists() else "uptane-secondary"
DEVICE = "device-0815"


# ---- starting and calling ----

def program(folder, name):
    path = BUILD / "daemon" / folder / name
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return str(path)


def _listens(path):
    with open("/proc/net/unix", encoding="utf-8") as table:
        return any(line.split()[3] == "00010000" and line.rstrip().endswith(" " + path) for line in table)


class Activator:
    """systemd-socket-activate --accept: one process per connection, as the socket units have it."""

    def __init__(self, folder, argv, wrap=None, **environment):
        """wrap: a function that puts a command into other namespaces, and where folder is found there."""
        self.wrapped = wrap is not None
        name = pathlib.Path(argv[0]).name + ".socket"
        self.socket = str(folder / name)
        passed = [arg for name, value in environment.items() for arg in ("-E", f"{name}={value}")]
        passed += ["-E", "LSAN_OPTIONS=detect_leaks=0"]  # GLib and its friends keep what they have
        bound = f"{wrap[1]}/{name}" if wrap else self.socket
        command = ["systemd-socket-activate", "--accept", "-l", bound, *passed, *argv]
        self.process = subprocess.Popen(wrap[0](command) if wrap else command)
        deadline = time.monotonic() + 10
        while not _listens(bound) or not os.path.exists(self.socket):
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self):
        if self.wrapped:
            self.process.kill()  # unshare takes no other word, and takes its child along
        else:
            self.process.terminate()
        self.process.wait()


class RemoteError(Exception):
    """An error reply; name is without "org.uptane.Error."."""

    def __init__(self, name, message):
        message = message.removeprefix(f"GDBus.Error:{name}: ")
        super().__init__(f"{name}: {message}")
        self.name, self.message = name.removeprefix("org.uptane.Error."), message


class Client:
    """One connection, and so one process of the helper."""

    def __init__(self, path, object_path, interface):
        self.object_path, self.interface = object_path, interface
        self.connection = Gio.DBusConnection.new_for_address_sync(
            f"unix:path={path}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        self.connection.set_exit_on_close(False)
        # GDBus sends a first call together with the end of the authentication, where sd-bus takes no descriptors yet
        self.connection.call_sync(None, object_path, "org.freedesktop.DBus.Peer", "Ping", None, None, Gio.DBusCallFlags.NONE, -1, None)

    def call(self, member, arguments, reply, fds=(), timeout=30):
        try:
            answer, _ = self.connection.call_with_unix_fd_list_sync(
                None, self.object_path, self.interface, member, arguments, GLib.VariantType(reply),
                Gio.DBusCallFlags.NONE, timeout * 1000, Gio.UnixFDList.new_from_array(list(fds)), None)
            return answer.unpack()
        except GLib.Error as error:
            name = Gio.DBusError.get_remote_error(error)
            if name is None:
                raise
            raise RemoteError(name, error.message) from None

    def close(self):
        self.connection.close_sync(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.connection.is_closed():
            self.close()


class FetchClient(Client):
    def __init__(self, path):
        super().__init__(path, "/org/uptane/Fetch1", "org.uptane.Fetch1")
        self.body = b""

    def get(self, url, authenticate=False, offset=0, maximum=1 << 20):
        """(status, offset, body); self.body holds what came, in any case."""
        read_end, write_end = os.pipe()
        pieces = []

        def drain():
            while piece := os.read(read_end, 65536):
                pieces.append(piece)

        reader = threading.Thread(target=drain, daemon=True)
        reader.start()
        try:
            arguments = GLib.Variant("(sbtth)", (url, authenticate, offset, maximum, 0))
            # the list duplicates the descriptor; both copies here must go, or the pipe never ends
            fds = Gio.UnixFDList.new()
            fds.append(write_end)
            os.close(write_end)
            answer, _ = self.connection.call_with_unix_fd_list_sync(
                None, self.object_path, self.interface, "Get", arguments, GLib.VariantType("(ut)"),
                Gio.DBusCallFlags.NONE, 60000, fds, None)
            status, start = answer.unpack()
        except GLib.Error as error:
            name = Gio.DBusError.get_remote_error(error)
            if name is None:
                raise
            raise RemoteError(name, error.message) from None
        finally:
            del fds
            reader.join(10)
            assert not reader.is_alive(), "the helper replied and kept the pipe open"
            os.close(read_end)
            self.body = b"".join(pieces)
        return status, start, self.body

    def send(self, method, url, body, authenticate=False, content_type="application/json"):
        arguments = GLib.Variant("(ssbsay)", (method, url, authenticate, content_type, body))
        status, answer = self.call("Send", arguments, "(uay)")
        return status, bytes(answer)


class OstreeClient(Client):
    def __init__(self, path):
        super().__init__(path, "/org/uptane/Install1", "org.uptane.Install1")

    def status(self):
        """The booted commit."""
        return self.full_status()[0]

    def full_status(self):
        """(booted commit, all commits, whether something is on trial, whether the boot loader gave something up)."""
        return self.call("GetStatus", None, "(sasbb)")

    def pull(self, url, commit, authenticate=False, size=0, max_speed=0, deltas=False):
        self.call("Pull", self.pull_arguments(url, commit, authenticate, size, max_speed, deltas), "()")

    @staticmethod
    def pull_arguments(url, commit, authenticate=False, size=0, max_speed=0, deltas=False):
        return GLib.Variant("(ssbttb)", (url, commit, authenticate, size, max_speed, deltas))

    def kernel_arguments(self, allowed, wanted):
        self.call("SetKernelArguments", GLib.Variant("(asas)", (list(allowed), list(wanted))), "()")

    def is_deployed(self, commit):
        return commit in self.full_status()[1]

    def deploy(self, commit, name="agl-image", timeout=30, hold=False):
        return self.call("Deploy", GLib.Variant("(ssb)", (commit, name, hold)), "(b)", timeout=timeout)[0]

    def mark_good(self):
        self.call("MarkGood", None, "()")

    def rollback(self, commit):
        return self.call("Rollback", GLib.Variant("(s)", (commit,)), "(b)")[0]


class ExecClient(Client):
    """Every method: the handler, and what it is told; seconds is its time limit."""

    def __init__(self, path):
        super().__init__(path, "/org/uptane/Exec1", "org.uptane.Exec1")

    def firmware_info(self, handler, seconds=20, **facts):
        return self.call("GetFirmwareInfo", GLib.Variant("(sua{ss})", (str(handler), seconds, facts)), "(sssx)")

    def install(self, handler, image, seconds=20, **facts):
        """image: a file; its descriptor is handed over as it is."""
        fds = [os.dup(image.fileno())]  # the call keeps it
        return self.call("Install", GLib.Variant("(sua{ss}h)", (str(handler), seconds, facts, 0)), "(ss)", fds)

    def complete_install(self, handler, seconds=20, **facts):
        return self.call("CompleteInstall", GLib.Variant("(sua{ss})", (str(handler), seconds, facts)), "(ss)")

    def rollback(self, handler, seconds=20, **facts):
        return self.call("Rollback", GLib.Variant("(sua{ss})", (str(handler), seconds, facts)), "(ss)")


# ---- certificates ----

def _write_key(key, path):
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))


class Authority:
    def __init__(self, folder, name="test authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.cert = self._sign(self.name, self.key, [(x509.BasicConstraints(True, None), True)])
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.cert.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, extensions):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name, stem, addresses=()):
        """Writes stem.crt and stem.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]), False)] \
            if addresses else []
        cert = self._sign(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key, extensions)
        crt_path, key_path = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        crt_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        _write_key(key, key_path)
        return crt_path, key_path


def make_credentials(folder):
    """ca.pem, device.crt, device.key as in $CREDENTIALS_DIRECTORY, and server.crt, server.key for 127.0.0.1."""
    authority = Authority(folder)
    authority.issue(DEVICE, "device")
    authority.issue("127.0.0.1", "server", ["127.0.0.1"])
    return authority


# ---- servers ----

class Request:
    """What a server saw. device: name in the client's certificate, or None. connection: equal for one connection."""

    def __init__(self, handler, body):
        self.method, self.path, self.headers, self.body = handler.command, handler.path, handler.headers, body
        self.connection = handler.client_address
        cert = handler.connection.getpeercert() if isinstance(handler.connection, ssl.SSLSocket) else None
        self.device = dict(part[0] for part in cert["subject"]).get("commonName") if cert else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self, body)
        self.server.requests.append(request)
        route = self.server.routes.get(self.path.split("?")[0])
        try:
            if route:
                route(self)
            else:
                self.answer(404, b"nothing here")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.server.broken.set()
            self.close_connection = True

    do_GET = do_PUT = do_POST = handle_any

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """routes: path -> function(handler). With an authority it speaks TLS, and asks for a client certificate."""
    daemon_threads = True

    def __init__(self, authority=None, handler=Handler, demand=False, tweak=None):
        self.context = None
        super().__init__(("127.0.0.1", 0), handler)
        self.routes, self.requests, self.broken = {}, [], threading.Event()
        if authority:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
            self.context.load_verify_locations(authority.file)
            self.context.verify_mode = ssl.CERT_REQUIRED if demand else ssl.CERT_OPTIONAL
            if tweak:
                tweak(self.context)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(10)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, *_):
        pass

    @property
    def origin(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_port}"

    def url(self, path):
        return self.origin + path

    def paths(self):
        return [request.path for request in self.requests]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def unused_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- OSTree ----

def run(*argv, **kwargs):
    return subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.PIPE, text=True, **kwargs).stdout.strip()


def make_tree(folder, version, kernel="6.1.0-test"):
    """The least that OSTree deploys."""
    for sub in (f"usr/lib/modules/{kernel}", "usr/etc", "usr/bin", "boot", "sysroot", "var", "proc", "sys", "dev", "run", "tmp"):
        (folder / sub).mkdir(parents=True)
    for sub in ("bin", "sbin", "lib", "lib64"):
        (folder / sub).symlink_to("usr/" + sub)
    (folder / "ostree").symlink_to("sysroot/ostree")
    (folder / f"usr/lib/modules/{kernel}/vmlinuz").write_text(f"kernel {version}")
    (folder / f"usr/lib/modules/{kernel}/initramfs.img").write_text("initrd")
    (folder / "usr/lib/os-release").write_text(f'NAME=test\nID=test\nVERSION_ID={version}\nPRETTY_NAME="test {version}"\n')
    (folder / "usr/etc/app.conf").write_text(f"version {version}\n")
    (folder / "usr/bin/big").write_bytes(os.urandom(300_000))


class OstreeRepo:
    """An archive repository as the back-end serves it."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "repo"
        run("ostree", f"--repo={self.path}", "init", "--mode=archive")

    def commit(self, version):
        tree = self.folder / f"tree-{version}"
        make_tree(tree, version)
        return run("ostree", f"--repo={self.path}", "commit", "-b", "test/main", f"--tree=dir={tree}", "--owner-uid=0",
                   "--owner-gid=0", "-s", f"version {version}")

    def object_path(self, checksum, kind):
        return self.path / "objects" / checksum[:2] / f"{checksum[2:]}.{kind}"

    def content_objects(self, commit):
        """Relative URLs of the file objects of a commit, biggest first."""
        files = sorted(self.path.glob("objects/*/*.filez"), key=lambda p: -p.stat().st_size)
        return [str(f.relative_to(self.path)) for f in files]

    def serve(self, handler):
        """A route that serves the repository below /ostree/."""
        path = (self.path / handler.path.removeprefix("/ostree/")).resolve()
        if self.path.resolve() in path.parents and path.is_file():
            handler.answer(200, path.read_bytes())
        else:
            handler.answer(404)


class Sysroot:
    """A scratch sysroot; deployments are immutable folders, so remove() it."""

    def __init__(self, folder, os_name="testos"):
        self.path, self.os_name = folder, os_name
        folder.mkdir()
        run("ostree", "admin", "init-fs", folder)
        run("ostree", "admin", "os-init", f"--sysroot={folder}", os_name)
        run("ostree", "config", f"--repo={folder}/ostree/repo", "set", "sysroot.bootloader", "none")

    def deploy_first(self, repo, commit, *arguments):
        run("ostree", f"--repo={self.path}/ostree/repo", "pull-local", repo.path, commit)
        run("ostree", "admin", f"--sysroot={self.path}", "deploy", f"--os={self.os_name}",
            *[f"--karg={a}" for a in arguments], commit)

    def ostree(self, *argv):
        return run("ostree", f"--repo={self.path}/ostree/repo", *argv)

    def deployments(self):
        """Commits, next to boot first."""
        lines = run("ostree", "admin", f"--sysroot={self.path}", "status").splitlines()
        return [line.split(".")[0].split()[-1] for line in lines if line.strip().startswith(self.os_name + " ")]

    def pinned(self):
        """Commits of the deployments nobody prunes."""
        origins = self.path.glob("ostree/deploy/*/deploy/*.origin")
        return sorted(o.name.split(".")[0] for o in origins if "[libostree-transient]" in o.read_text())

    def boot_entries(self):
        return [f.read_text() for f in sorted((self.path / "boot/loader/entries").glob("*.conf"), reverse=True)]

    def booted_command(self, shared, argv, systemd=False, read_only=False):
        """Runs argv as if the first deployment were booted: in namespaces where it is the root, with this machine's /usr.

        libostree calls itself booted where /run/ostree-booted is and / is a deployment. The folder shared is /run/shared.
        """
        commit = self.deployments()[0]
        script = """
            set -e; S=$1; D=$2; V=$3; SHARED=$4; SYSTEMD=$5; READ_ONLY=$6; shift 6
            N=$S.root; mkdir -p $N; mount --bind $D $N; mount --bind $S $N/sysroot; mount --bind $S/boot $N/boot
            mount --bind $V $N/var; mkdir -p $V/tmp
            mount -t tmpfs run $N/run; mkdir -p $N/run/shared; touch $N/run/ostree-booted; mkdir -p $S/tmp
            [ -z "$SYSTEMD" ] || mkdir -p $N/run/systemd/system
            [ -z "$READ_ONLY" ] || for m in sysroot boot; do mount -o remount,bind,ro $N/$m; done
            mount --bind $SHARED $N/run/shared; mount -t tmpfs tmp $N/tmp
            mount --rbind /usr $N/usr; mount -t proc proc $N/proc; mount --rbind /dev $N/dev
            exec chroot $N "$@" """
        deployment = f"{self.path}/ostree/deploy/{self.os_name}/deploy/{commit}.0"
        return ["unshare", "-m", "-p", "-f", "--kill-child", "--propagation", "private", "bash", "-c", script, "_", str(self.path),
                deployment, f"{self.path}/ostree/deploy/{self.os_name}/var", str(shared), "yes" if systemd else "",
                "yes" if read_only else "", *argv]

    def remove(self):
        deployments = [str(p) for p in self.path.glob("ostree/deploy/*/deploy/*.[0-9]*") if p.is_dir()]
        if deployments:
            subprocess.run(["chattr", "-i", *deployments], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path, ignore_errors=True)
