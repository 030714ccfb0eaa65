# SPDX-License-Identifier: Apache-2.0
"""Runs a back-end until standard input ends or a signal comes: python3 -m backend --dir D"""
import argparse
import json
import signal
import sys

from . import Backend
from .control import Commands, serve_http


def main():
    parser = argparse.ArgumentParser(prog='backend', description=__doc__, epilog='Commands are the do_... methods of control.py.')
    parser.add_argument('--dir', required=True, help='where its certificates and its OSTree repository live')
    parser.add_argument('--port', type=int, default=0, help='HTTPS port on the loopback interface (default: any)')
    parser.add_argument('--plain-port', type=int, help='serve plain HTTP too')
    parser.add_argument('--control-port', type=int, help='take commands by HTTP POST on this loopback port instead of standard input')
    parser.add_argument('--key-type', choices=('ed25519', 'rsa', 'ecdsa'), default='ed25519', help='keys of all roles')
    options = parser.parse_args()
    keys = {'kinds': options.key_type}

    with Backend(options.dir, options.port, options.plain_port, director_options=keys, image_options=keys) as backend:
        commands = Commands(backend)
        hello = {'url': backend.url, 'plain_url': backend.plain_url if options.plain_port is not None else None}
        if options.control_port is not None:
            hello['control'] = f'http://127.0.0.1:{serve_http(commands, options.control_port)}/'
            print(json.dumps(hello), flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
            return
        print(json.dumps(hello), flush=True)
        for line in sys.stdin:
            print(json.dumps(commands.run(line), default=str), flush=True)


if __name__ == '__main__':
    main()
