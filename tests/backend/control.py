# SPDX-License-Identifier: Apache-2.0
"""Commands to a running back-end: one JSON object each, as a line or as the body of a POST; one JSON object in answer.

    {"command": "device", "id": "vehicle-1", "directory": "/tmp/v"}    its credentials, and the Roots it starts with
    {"command": "add-file", "name": "fw-2", "path": "fw.bin", "hardware_ids": ["test-mcu"]}
    {"command": "add-commit", "name": "os-2", "commit": "<64 hex digits>", "hardware_ids": ["test-board"]}
    {"command": "assign", "device": "vehicle-1", "images": {"<ECU serial>": "fw-2"}}
    {"command": "clear", "device": "vehicle-1"}                        nothing is assigned any more
    {"command": "devices"}  {"command": "images"}  {"command": "log"}  what there is
    {"command": "rotate", "repository": "image", "roles": ["targets"]} or the name of a device
    {"command": "fault", "path": "targets.json", "kind": "tamper"}     see faults.py
    {"command": "clear-faults"}
"""
import http.server
import json
import os
import threading


class Commands:
    """Every command is a method; its arguments are the members of the object beside "command"."""

    def __init__(self, backend):
        self.backend = backend

    def run(self, text):
        try:
            arguments = json.loads(text)
            handler = getattr(self, "do_" + arguments.pop("command").replace("-", "_"))
            return dict({"ok": True}, **(handler(**arguments) or {}))
        except Exception as e:  # pylint: disable=broad-except  # whatever it is, it is the user's to read
            return {"ok": False, "error": "%s: %s" % (type(e).__name__, e)}

    def do_device(self, id, directory):  # pylint: disable=redefined-builtin
        self.backend.authority.device(id, directory)
        for name, repository in (("director", self.backend.vehicle(id).repository), ("image", self.backend.image)):
            with open(os.path.join(directory, name + ".root.json"), "wb") as f:
                f.write(repository.files["1.root.json"])

    def do_devices(self):
        return {"devices": {name: {
            "ecus": {serial: {"hardware": ecu["hardware_identifier"], "installed": vehicle.installed(serial)}
                     for serial, ecu in vehicle.ecus.items()},
            "primary": vehicle.primary,
            "assigned": {a[2]: a[0] for a in vehicle.assignments},
            "manifests": len(vehicle.manifests), "refused": vehicle.refused, "reports": vehicle.reports(),
        } for name, vehicle in self.backend.vehicles.items()}}

    def do_images(self):
        return {"images": self.backend.image.targets}

    def do_add_file(self, name, path, hardware_ids, **custom):
        with open(path, "rb") as f:
            self.backend.add_image(name, f.read(), hardware_ids, **custom)

    def do_add_commit(self, name, commit, hardware_ids, **custom):
        self.backend.add_commit(name, commit, hardware_ids, **custom)

    def do_assign(self, device, images):
        vehicle = self.backend.vehicle(device)
        return {"correlation_id": vehicle.assign([
            (name, self.backend.image.targets[name], serial, vehicle.ecus[serial]["hardware_identifier"], None)
            for serial, name in images.items()])}

    def do_clear(self, device):
        self.backend.vehicle(device).clear()

    def do_rotate(self, repository, roles):
        (self.backend.image if repository == "image" else self.backend.vehicle(repository).repository).rotate(*roles)

    def do_fault(self, path, kind, value=None, times=None, method=None):
        self.backend.faults.add(path, kind, value, times, method)

    def do_clear_faults(self):
        self.backend.faults.clear()

    def do_log(self, last=20):
        return {"log": self.backend.requests()[-last:]}


def serve(commands, port=0):
    """Takes commands by POST on a loopback port. Returns the port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            answer = commands.run(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            body = json.dumps(answer, indent=2).encode() + b"\n"
            self.send_response(200 if answer["ok"] else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
