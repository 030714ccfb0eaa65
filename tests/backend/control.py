# SPDX-License-Identifier: Apache-2.0
"""Commands for a running back-end: JSON lines on standard input or POSTed to a loopback port, one JSON answer each."""
import http.server
import json
import threading


class Commands:
    """Every command is a method; its keyword arguments are the members of the JSON object beside "command"."""

    def __init__(self, backend):
        self.backend = backend

    def run(self, line):
        try:
            arguments = json.loads(line)
            handler = getattr(self, 'do_' + arguments.pop('command').replace('-', '_'))
            return {'ok': True, **(handler(**arguments) or {})}
        except Exception as error:  # pylint: disable=broad-except  # whatever it is, it is the user's to read
            return {'ok': False, 'error': f'{type(error).__name__}: {error}'}

    def do_device(self, id, directory):  # pylint: disable=redefined-builtin
        """Makes a device's credentials, and the Roots it starts with, as files in a directory."""
        self.backend.pki.device_credentials(id, directory)
        self.backend.write_roots(directory)

    def do_devices(self):
        return {'devices': {device.id: {
            'ecus': {ecu.serial: {'hardware_id': ecu.hardware_id, 'primary': ecu.primary, 'installed': ecu.installed,
                                  'attacks_detected': ecu.attacks_detected} for ecu in device.ecus.values()},
            'assigned': {serial: name for serial, (name, _) in device.assignments.items()},
            'manifests_accepted': len(device.manifests),
            'manifests_refused': [str(refusal) for _, refusal in device.refused],
            'cancelled': device.cancelled,
        } for device in self.backend.director.devices.values()}}

    def do_images(self):
        return {'images': self.backend.images.publication.targets}

    def do_add_file(self, name, path, hardware_ids, version=None, release_counter=None):
        with open(path, 'rb') as file:
            self.backend.images.add_image(name, hardware_ids, data=file.read(), version=version, release_counter=release_counter)

    def do_add_tree(self, name, path, hardware_ids, version=None):
        """Commits a directory to the OSTree repository."""
        commit = self.backend.treehub.commit(path, version or name)
        self.backend.images.add_image(name, hardware_ids, commit=commit, version=version)
        return {'commit': commit}

    def do_assign(self, device, images):
        return {'correlation_id': self.backend.assign(device, images)}

    def do_cancel(self, device):
        self.backend.director.cancel(device)

    def do_rotate(self, repository, role):
        """repository: "director" or "image"."""
        chain = self.backend.director.chain if repository == 'director' else self.backend.images.chain
        chain.rotate(role)
        self.backend.images.publish()
        for device in list(self.backend.director.devices):
            self.backend.director.publish(device)
        return {'version': chain.version}

    def do_fault(self, path, kind, times=None, **arguments):
        """For example {"command": "fault", "path": "/director/targets.json", "kind": "tamper"}."""
        self.backend.faults.add(path, kind, times, **arguments)

    def do_clear_faults(self):
        self.backend.faults.clear()

    def do_log(self, last=20):
        return {'log': [repr(entry) for entry in self.backend.log[-last:]]}


def serve_http(commands, port=0):
    """Answers POST with a command as body. Returns the port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            answer = commands.run(self.rfile.read(int(self.headers.get('Content-Length') or 0)))
            body = json.dumps(answer, indent=2, default=str).encode() + b'\n'
            self.send_response(200 if answer['ok'] else 400)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
