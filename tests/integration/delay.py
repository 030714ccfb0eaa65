# SPDX-License-Identifier: Apache-2.0
"""delay.py HOST:PORT SECONDS: passes connections on to there; every byte arrives so much later, in both directions. Prints its own
address. What netem does, where the kernel has none."""
import asyncio
import sys


async def forward(reader, writer, seconds):
    """Each piece is written at its own time: what comes close together goes on close together."""
    loop, last = asyncio.get_running_loop(), None
    try:
        while data := await reader.read(65536):
            last = loop.call_later(seconds, writer.write, data)
    except OSError:
        pass
    if last:
        await asyncio.sleep(max(0, last.when() - loop.time()))
    writer.close()


async def serve(reader, writer, host, port, seconds):
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(forward(reader, far_writer, seconds), forward(far_reader, writer, seconds))


async def main(address, seconds):
    host, port = address.rsplit(":", 1)
    server = await asyncio.start_server(lambda r, w: serve(r, w, host, int(port), seconds), "127.0.0.1", 0)
    print("127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
