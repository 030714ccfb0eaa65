# SPDX-License-Identifier: Apache-2.0
"""The HTTP(S) face of the back-end: the device API, as the device gateway of the open-source back-ends shows it."""
import ctypes
import gzip
import http.server
import json
import os
import re
import socketserver
import ssl
import threading
import time
import urllib.parse

from .director import Refused, Vehicle, parse
from .faults import Faults
from .pki import Authority
from .repository import Repository


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *args):
        pass

    def setup(self):
        self.device_id = None
        self.sent = 0
        super().setup()
        certificate = self.connection.getpeercert() if hasattr(self.connection, "getpeercert") else None
        for group in (certificate or {}).get("subject", ()):
            for name, value in group:
                if name == "commonName":
                    self.device_id = value

    def date_time_string(self, timestamp=None):
        return super().date_time_string((time.time() if timestamp is None else timestamp) + self.backend.clock_ahead)

    # answers

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)
            self.sent += len(body)

    def answer_json(self, status, value):
        self.answer(status, json.dumps(value).encode(), [("Content-Type", "application/json")])

    def send_content(self, data):
        """A file, or the rest of it where a range was asked for."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and int(match.group(1)) < len(data):
            start = int(match.group(1))
            self.answer(206, data[start:], [("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))])
        elif match:
            self.answer(416, b"", [("Content-Range", "bytes */%d" % len(data))])
        else:
            self.answer(200, data)

    # faults

    def spoil(self, fault, data):
        """Carries a fault out; returns the bytes to send all the same, or None if the answer was given."""
        if fault.kind == "status":
            self.answer(fault.value, b"{}")
        elif fault.kind == "refusal":
            self.answer_json(fault.value[0], {"code": fault.value[1], "description": "on command"})
        elif fault.kind == "redirect":
            self.answer(302, b"", [("Location", fault.value)])
        elif fault.kind == "tamper":
            position = fault.value if fault.value is not None else len(data) // 2
            return data[:position] + bytes([data[position] ^ 1]) + data[position + 1:]
        elif fault.kind == "replace":
            return fault.value
        elif fault.kind == "inflate":
            self.answer(200, gzip.compress(bytes(fault.value)), [("Content-Encoding", "gzip")])
        else:
            self.break_off(fault, data)
        return None

    def break_off(self, fault, data):
        self.close_connection = True
        if fault.kind == "cutoff":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:fault.value])
        elif fault.kind == "announce":
            self.send_response(200)
            self.send_header("Content-Length", str(fault.value))
            self.end_headers()
            self.wfile.write(data)
        elif fault.kind == "trickle":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                if self.backend.faults.cleared.wait(1 / fault.value):
                    break
        elif fault.kind == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.backend.faults.cleared.is_set():
                    self.wfile.write(b" " * 65536)
            except OSError:
                pass
        elif fault.kind == "stall":
            self.backend.faults.cleared.wait(120)

    # requests

    def route(self, body):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        fault = self.backend.faults.find(self.command, path)
        if fault and fault.kind == "drop":
            self.close_connection = True
            return
        if self.command == "GET":
            data = self.backend.get(path, self.device_id)
            if fault:
                data = self.spoil(fault, data or b"")
                if data is None:
                    return
            if data is None:
                self.answer_json(404, {"code": "missing_entity", "description": path})
            else:
                self.send_content(data)
        elif fault:
            self.spoil(fault, b"")
        else:
            self.answer_json(*self.backend.send(self.command, path, body, self.device_id))

    def handle_request(self):
        entry = {"method": self.command, "path": self.path, "device": self.device_id, "connection": self.client_address[1]}
        self.sent = 0
        try:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if self.backend.require_certificate and self.device_id is None and not self.path.startswith("/open/"):
                self.answer_json(403, {"code": "forbidden", "description": "no device certificate"})
            else:
                self.route(body)
        except Refused as e:
            self.answer_json(400, {"code": e.code, "description": e.description})
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True
        entry["sent"] = self.sent
        with self.backend.lock:
            self.backend.log.append(entry)

    do_GET = do_HEAD = do_PUT = do_POST = handle_request


def in_network(path, function):
    """What function() returns in another network namespace (None: this one): sockets that it makes stay there."""
    if path is None:
        return function()
    results = []

    def run():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(path, "rb") as f:
            if libc.setns(f.fileno(), 0x40000000) != 0:  # CLONE_NEWNET, of this thread alone
                return
        results.append(function())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if not results:
        raise OSError("cannot serve in " + path)
    return results[0]


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context = None

    def handle_error(self, request, client_address):
        pass  # a client that went away, or whose TLS failed: it sees that itself

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)


class Backend:
    """Everything at once. Vehicles come to be when they register; repositories and faults are there to be played with."""

    def __init__(self, directory, tls=True, port=0, ostree=None, director=None, image=None, network=None):
        """network: the network namespace it is reached in, as a path."""
        self.network = network
        self.directory = directory
        self.lock = threading.Lock()
        self.faults = Faults()
        self.log = []
        self.vehicles = {}
        self.director_options = director or {}
        self.image = Repository(**(image or {}))
        self.images = {}  # name -> bytes, below repo/targets/
        self.open_files = {}  # path below /open/ -> bytes, without a certificate
        self.events = []
        self.clock_ahead = 0  # seconds, of what it says the time was
        self.ostree = ostree
        self.require_certificate = tls
        self.authority = Authority(os.path.join(directory, "pki"))
        self.port = port
        self.tls = tls
        self.server = None
        self.start()

    def start(self):
        handler = type("BackendHandler", (Handler,), {"backend": self})
        Server.allow_reuse_address = True
        self.server = in_network(self.network, lambda: Server(("127.0.0.1", self.port), handler))
        self.port = self.server.server_address[1]
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.authority.server())
            context.load_verify_locations(self.authority.ca)
            context.verify_mode = ssl.CERT_OPTIONAL
            self.server.context = context
        self.url = "%s://127.0.0.1:%d" % ("https" if self.tls else "http", self.port)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Nobody listens any more, until start()."""
        self.faults.clear()
        self.server.shutdown()
        self.server.server_close()

    def vehicle(self, device_id):
        with self.lock:
            if device_id not in self.vehicles:
                self.vehicles[device_id] = Vehicle(device_id, **self.director_options)
            return self.vehicles[device_id]

    # the Image repository

    def add_image(self, name, data, hardware_ids, served=None, role=None, **custom):
        """Publishes a file; served: other bytes than the signed ones; role: the delegated role that lists it, or several."""
        self.images[name] = data if served is None else served
        self.image.target(name, data, hardwareIds=list(hardware_ids), targetFormat="BINARY", **custom)
        entry = self.image.targets[name]
        if role:
            del self.image.targets[name]
            for r in role if isinstance(role, (list, tuple)) else [role]:
                r.targets[name] = entry
        self.image.publish()
        return entry

    def add_commit(self, name, commit, hardware_ids, **custom):
        """Publishes an OSTree commit of the repository served below treehub/."""
        self.image.target(name, length=0, digests={"sha256": commit}, hardwareIds=list(hardware_ids), targetFormat="OSTREE", **custom)
        self.image.publish()
        return self.image.targets[name]

    # requests

    def get(self, path, device_id):
        top, _, rest = path.lstrip("/").partition("/")
        if top == "director":
            return self.vehicle(device_id or "anonymous").repository.files.get(rest)
        if top == "repo":
            if rest.startswith("targets/"):
                return self.images.get(rest[len("targets/"):])
            return self.image.files.get(rest)
        if top == "open":
            return self.open_files.get(rest)
        if top == "treehub" and self.ostree:
            file = os.path.realpath(os.path.join(self.ostree, rest))
            if file.startswith(os.path.realpath(self.ostree) + os.sep) and os.path.isfile(file):
                with open(file, "rb") as f:
                    return f.read()
        return None

    def send(self, method, path, body, device_id):
        vehicle = self.vehicle(device_id or "anonymous")
        if (method, path) in (("POST", "/director/ecus"), ("PUT", "/director/manifest")):
            return self._send_director(vehicle, method, body)
        if method == "POST" and path.rstrip("/") == "/events":
            self.events.append(parse(body))
            return 204, {}
        if path.startswith("/system_info") or path == "/core/installed":
            return 204, {}
        return 404, {"code": "missing_entity", "description": path}

    @staticmethod
    def _send_director(vehicle, method, body):
        try:
            if method == "PUT":
                vehicle.take_manifest(parse(body))
                return 200, {}
            again = vehicle.registrations > 0
            vehicle.register(parse(body))
            return (200 if again else 201), {}
        except (Refused, KeyError, TypeError, ValueError, AttributeError) as e:
            refusal = e if isinstance(e, Refused) else Refused("malformed", "malformed: %r" % e)
            vehicle.refused.append(refusal.description)
            raise refusal from e

    def requests(self, pattern=""):
        with self.lock:
            return [entry for entry in self.log if re.search(pattern, entry["path"])]
