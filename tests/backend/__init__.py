# SPDX-License-Identifier: Apache-2.0
"""A Director, an Image repository and an OSTree repository for trying and testing.

Written on Python's standard library and python3-cryptography alone, with its own canonical form and its own signing:
nothing is shared with src/, so that one mistake cannot hide in both.

    backend = Backend(directory).start()
    backend.pki.device_credentials('vehicle-1', somewhere)
    backend.write_roots(somewhere)
    backend.images.add_image('firmware-2', ['zone-controller'], data=b'...')
    backend.assign('vehicle-1', {'serial of an ECU': 'firmware-2'})
    backend.faults.add(r'/director/targets.json', 'tamper')
"""
import os

from .director import Director, Refused
from .faults import Faults
from .keys import SigningKey
from .pki import Pki
from .repository import ImageRepository, Tweak, in_days
from .server import Server, make_tls_context
from .treehub import Treehub

__all__ = ['Backend', 'Director', 'Faults', 'ImageRepository', 'Pki', 'Refused', 'SigningKey', 'Treehub', 'Tweak', 'in_days']


class Backend:
    """Everything a vehicle talks to. What it knows lives in memory and survives stop() and start()."""

    def __init__(self, directory, port=0, plain_port=None, plain_device=None, director_options=None, image_options=None):
        self.directory = os.path.abspath(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.pki = Pki(os.path.join(self.directory, 'pki'))
        self.treehub = Treehub(os.path.join(self.directory, 'treehub'))
        self.director = Director(**(director_options or {}))
        self.images = ImageRepository(**(image_options or {}))
        self.faults = Faults()
        self.plain_device = plain_device  # who speaks on the plain HTTP port, unless a header says so
        self.files = {}  # below /files/, for anybody
        self.log = []    # every request, as server.Request
        self.events = []
        self.system_info = {}
        self.port, self.plain_port = port, plain_port
        self._servers = []

    # -- running

    def start(self):
        tls = Server(self, self.port, make_tls_context(self.pki))
        self.port = tls.port
        self._servers = [tls]
        if self.plain_port is not None:
            plain = Server(self, self.plain_port)
            self.plain_port = plain.port
            self._servers.append(plain)
        for server in self._servers:
            server.start()
        return self

    def stop(self):
        for server in self._servers:
            server.stop()
        self._servers = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f'https://localhost:{self.port}'

    @property
    def plain_url(self):
        return f'http://127.0.0.1:{self.plain_port}'

    # -- what the operator does

    def write_roots(self, directory):
        """Writes the Roots a vehicle leaves the factory with: the first of each repository."""
        os.makedirs(directory, exist_ok=True)
        for name, chain in (('director', self.director.chain), ('image', self.images.chain)):
            with open(os.path.join(directory, f'{name}.root.json'), 'wb') as file:
                file.write(chain.versions[1])

    def assign(self, device_id, images, correlation_id=None, tweak=None):
        """Assigns images of the Image repository: {ECU serial: image name}. Returns the correlation id."""
        known = self.images.publication.targets
        return self.director.assign(device_id, {serial: (name, known[name]) for serial, name in images.items()},
                                    correlation_id, tweak)

    def requests(self, pattern='', method=None, since=0):
        """The log entries whose path contains `pattern`."""
        return [entry for entry in self.log[since:] if pattern in entry.path and method in (None, entry.method)]
