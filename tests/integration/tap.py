# SPDX-License-Identifier: Apache-2.0
"""Stands between a Primary and a Secondary, passes everything on and remembers what the Primary said."""
import contextlib
import socket
import threading


class Tap:
    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.target = self.listener.getsockname()[1], port
        self.said = []  # one bytearray for each connection
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def _accept(self):
        try:
            while True:
                client, _ = self.listener.accept()
                self.said.append(bytearray())
                server = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._pass, args=(client, server, self.said[-1]), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, None), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _pass(source, sink, record):
        try:
            while data := source.recv(65536):
                if record is not None:
                    record += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
