# SPDX-License-Identifier: Apache-2.0
"""Somebody in the in-vehicle network: stands between a Primary and a Secondary, understands what they say, and may answer
otherwise."""
import contextlib
import socket
import threading

from der import parse, whole


class Between:
    """change(request, answer): what the Primary gets instead; None: nothing, and the connection is held open."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.target = self.listener.getsockname()[1], port
        self.asked = []  # every whole message of the Primary
        self.answers = []  # and what the Secondary said to it
        self.change = lambda request, answer: answer
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def join(cls, vehicle, secondary):
        """Before the vehicle boots: from now on that Secondary is asked through this one."""
        between = cls(secondary.port)
        secondary.primary_settings["address"] = between.address
        vehicle.write_config()
        return between

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def said(self, kind):
        """The contents of all messages of this kind, oldest first."""
        return [fields for k, fields in map(parse, self.asked) if k == kind]

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, ConnectionError):
            with socket.create_connection(("127.0.0.1", self.target), timeout=10) as server:
                while request := read_message(client):
                    self.asked.append(request)
                    server.sendall(request)
                    answer = read_message(server)
                    self.answers.append(answer)
                    answer = self.change(request, answer)
                    if answer is None:
                        self.held.append(client)
                        return
                    client.sendall(answer)
        client.close()

    def close(self):
        self.listener.close()
        for client in self.held:
            client.close()


def read_message(s):
    """One whole message; b"" where the other side has closed."""
    data = b""
    while not whole(data):
        piece = s.recv(65536)
        if not piece:
            return b""
        data += piece
    return data
