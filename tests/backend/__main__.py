# SPDX-License-Identifier: Apache-2.0
"""A back-end to play with, from tests/: python3 -m backend --dir D. Says its URL, then takes commands (control.py)."""
import argparse
import json
import os
import signal
import subprocess
import sys

from . import Backend
from .control import Commands, serve


def main():
    parser = argparse.ArgumentParser(prog="backend", description=__doc__)
    parser.add_argument("--dir", required=True, help="where its certificates are written; all else lives in memory")
    parser.add_argument("--ostree", help="the OSTree repository to serve below /treehub (default: DIR/treehub, made if absent)")
    parser.add_argument("--port", type=int, default=0, help="on the loopback interface (default: any free one)")
    parser.add_argument("--plain", action="store_true", help="HTTP without TLS and without certificates, for a single device")
    parser.add_argument("--control-port", type=int, help="take commands by HTTP POST here instead of on standard input")
    options = parser.parse_args()

    ostree = options.ostree or os.path.join(options.dir, "treehub")
    if not os.path.exists(os.path.join(ostree, "config")):
        os.makedirs(ostree, exist_ok=True)
        subprocess.run(["ostree", "init", "--mode=archive", "--repo=" + ostree], check=True)
    backend = Backend(options.dir, tls=not options.plain, port=options.port, ostree=ostree)
    commands = Commands(backend)
    hello = {"url": backend.url}
    if options.control_port is not None:
        hello["control"] = "http://127.0.0.1:%d/" % serve(commands, options.control_port)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    print(json.dumps(hello), flush=True)
    if options.control_port is not None:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    else:
        for line in sys.stdin:
            print(json.dumps(commands.run(line)), flush=True)
    backend.stop()


if __name__ == "__main__":
    main()
