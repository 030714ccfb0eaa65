# SPDX-License-Identifier: Apache-2.0
"""The device API over HTTPS with client certificates, or plain HTTP: one thread per connection."""
import http.server
import itertools
import json
import os
import re
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

from .director import Refused
from .faults import CONTENT_KINDS, change

BODY_MAX = 1024 * 1024
PIECE = 64 * 1024


class Request:
    """One line of the request log."""

    def __init__(self, method, path, connection, device, body):
        self.time = time.time()
        self.method, self.path, self.connection, self.device, self.body = method, path, connection, device, body
        self.range = None
        self.status = None
        self.sent = 0
        self.faults = []

    def __repr__(self):
        return f'{self.method} {self.path} {self.status} {self.sent} bytes, connection {self.connection}, device {self.device}'


class _Gone(Exception):
    """The connection is to be closed."""


class Answer:
    def __init__(self, status, body=b'', content_type='application/json', headers=()):
        self.status, self.body, self.content_type, self.headers = status, body, content_type, headers


def _problem(status, code, description):
    return Answer(status, json.dumps({'code': code, 'description': description, 'cause': None, 'errorId': '0'}).encode())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server_version = 'test-backend'

    # -- the connection

    def setup(self):
        self.device = None
        self.connection_id = next(self.server.connection_ids)
        self.server.open_sockets.add(self.request)
        self.request.settimeout(120)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
            subject = (self.request.getpeercert() or {}).get('subject', ())
            self.device = next((value for name in subject for key, value in name if key == 'commonName'), None)
        super().setup()

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_HEAD = do_PUT = do_POST = do_GET

    def _serve(self):
        backend = self.server.backend
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(min(length, BODY_MAX))
        self.path = urllib.parse.unquote(self.path.partition('?')[0])
        if self.device is None and not self.server.tls:
            self.device = self.headers.get('x-ats-device-uuid') or backend.plain_device
        entry = Request(self.command, self.path, self.connection_id, self.device, body)
        entry.range = self.headers.get('Range')
        entry.faults = backend.faults.take(self.path)
        backend.log.append(entry)
        if length > BODY_MAX:
            self.close_connection = True
        try:
            answer = _problem(413, 'too_large', 'the body is too large') if length > BODY_MAX else self._answer(backend, entry)
            self._send(entry, answer)
        except (_Gone, OSError):
            self.close_connection = True

    # -- what is answered

    def _answer(self, backend, entry):
        route = next(((handler, match) for method, pattern, handler in _ROUTES
                      if (entry.method == method or (entry.method == 'HEAD' and method == 'GET'))
                      and (match := re.fullmatch(pattern, entry.path))), None)
        if route is None:
            return _problem(404, 'missing_entity', f'nothing at {entry.path}')
        handler, match = route
        if handler is not _get_file and self.server.tls and self.device is None:
            return _problem(401, 'unauthorized', 'no client certificate')
        if handler is not _get_file and self.device is None and entry.path.startswith('/director/'):
            return _problem(403, 'forbidden', 'which device is this?')
        try:
            answer = handler(backend, entry, *match.groups())
        except Refused as refusal:
            return _problem(refusal.status, refusal.code, refusal.description)
        return self._with_content_faults(backend, entry, answer)

    def _with_content_faults(self, backend, entry, answer):
        for fault in entry.faults:
            if fault.kind in CONTENT_KINDS and answer.status == 200 and isinstance(answer.body, bytes):
                publication = None
                if entry.path.startswith('/director/'):
                    publication = backend.director.device(self.device).publication
                elif entry.path.startswith('/repo/'):
                    publication = backend.images.publication
                answer.body = change(fault, answer.body, publication, os.path.basename(entry.path))
            elif fault.kind == 'body' and answer.status == 404:
                answer = Answer(200, fault.arguments['data'])
        return answer

    # -- how it is sent

    def _send(self, entry, answer):
        faults = {fault.kind: fault.arguments for fault in entry.faults}
        if 'drop' in faults:
            raise _Gone
        if 'status' in faults:
            answer = _problem(faults['status']['code'], 'fault', 'as ordered')
        if 'stall' in faults and not faults['stall'].get('after'):
            self._sleep(faults['stall'].get('seconds', 3600))
        if 'endless' in faults:
            self._send_endless(entry)
        status, body, extra = self._with_range(answer)
        entry.status = status
        self.send_response(status)
        self.send_header('Content-Type', answer.content_type)
        if status != 204:
            self.send_header('Content-Length', str(len(body)))
        for name, value in (*answer.headers, *extra):
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self._send_body(entry, body, faults)

    def _with_range(self, answer):
        """(status, body, headers) with a "bytes=N-" request followed."""
        match = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
        if answer.status != 200 or not match or answer.content_type == 'application/json':
            return answer.status, answer.body, ()
        start, size = int(match[1]), len(answer.body)
        if start >= size:
            return 416, b'', (('Content-Range', f'bytes */{size}'),)
        return 206, answer.body[start:], (('Content-Range', f'bytes {start}-{size - 1}/{size}'),)

    def _send_body(self, entry, body, faults):
        stall, slow = faults.get('stall'), faults.get('slow')
        end = faults['cutoff'].get('after', len(body) // 2) if 'cutoff' in faults else len(body)
        piece = max(1, slow['rate'] // 4) if slow else PIECE
        while entry.sent < end:
            upto = min(entry.sent + piece, end)
            if stall and stall.get('after') and entry.sent < stall['after']:
                upto = min(upto, stall['after'])
            self.wfile.write(body[entry.sent:upto])
            entry.sent = upto
            if stall and entry.sent == stall.get('after'):
                self._sleep(stall.get('seconds', 3600))
            elif slow:
                self._sleep(0.25)
        if end < len(body):
            raise _Gone

    def _send_endless(self, entry):
        entry.status = 200
        self.send_response(200)
        self.send_header('Content-Type', 'application/octet-stream')
        self.send_header('Connection', 'close')
        self.end_headers()
        while not self.server.stopping.is_set():
            self.wfile.write(b' ' * PIECE)
            entry.sent += PIECE
        raise _Gone

    def _sleep(self, seconds):
        if self.server.stopping.wait(seconds):
            raise _Gone


# -- the routes

def _post_ecus(backend, entry):
    return Answer(backend.director.register(entry.device, entry.body), b'{}')


def _put_manifest(backend, entry):
    backend.director.put_manifest(entry.device, entry.body)
    return Answer(200, b'{}')


def _get_director(backend, entry, name):
    data = backend.director.device(entry.device).publication.get(name)
    return Answer(200, data) if data is not None else _problem(404, 'missing_entity', f'no {name}')


def _get_repo(backend, _entry, name):
    data = backend.images.publication.get(name)
    return Answer(200, data) if data is not None else _problem(404, 'missing_entity', f'no {name}')


def _get_image(backend, _entry, name):
    data = backend.images.images.get(name)
    return Answer(200, data, 'application/octet-stream') if data is not None else _problem(404, 'missing_entity', f'no image {name}')


def _get_treehub(backend, _entry, name):
    path = backend.treehub.path_of(name)
    if path is None:
        return Answer(404)
    with open(path, 'rb') as file:
        return Answer(200, file.read(), 'application/octet-stream')


def _get_file(backend, _entry, name):
    data = backend.files.get(name)
    return Answer(200, data, 'application/octet-stream') if data is not None else Answer(404)


def _post_events(backend, entry):
    backend.events.extend(json.loads(entry.body))
    return Answer(204)


def _put_system_info(backend, entry):
    backend.system_info[entry.path] = entry.body
    return Answer(204)


def _redirect(_backend, entry):
    return Answer(301, headers=(('Location', entry.path + '/'),))


_ROUTES = (
    ('POST', r'/director/ecus', _post_ecus),
    ('PUT', r'/director/manifest', _put_manifest),
    ('GET', r'/director/((?:\d+\.)?[a-z]+\.json)', _get_director),
    ('GET', r'/repo/((?:\d+\.)?[a-z]+\.json)', _get_repo),
    ('GET', r'/repo/targets/(.+)', _get_image),
    ('GET', r'/treehub/(.+)', _get_treehub),
    ('GET', r'/files/(.+)', _get_file),
    ('POST', r'/events', _redirect),
    ('POST', r'/events/', _post_events),
    ('PUT', r'/system_info', _redirect),
    ('PUT', r'/system_info/|/system_info/network|/core/installed', _put_system_info),
    ('POST', r'/system_info/config', _put_system_info),
)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, backend, port, tls_context=None):
        super().__init__(('127.0.0.1', port), _Handler)
        self.backend = backend
        self.tls = tls_context is not None
        self.connection_ids = itertools.count(1)
        self.open_sockets = set()
        self.stopping = threading.Event()
        if self.tls:
            self.socket = tls_context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)

    @property
    def port(self):
        return self.server_address[1]

    def start(self):
        self.thread.start()

    def shutdown_request(self, request):
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that hangs up or fails the handshake is not worth a word; a mistake in here is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self):
        """Stops listening and hangs up on everybody."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for request in list(self.open_sockets):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def make_tls_context(pki):
    """Every client may connect; one that shows a certificate must show a good one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server_chain_path)
    context.load_verify_locations(pki.device_ca_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
