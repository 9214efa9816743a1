"""Passes connections to CLIENT_ADDRESS, ports 80 and 443, on to the same ports of TARGET: HTTP-01 and TLS-ALPN-01."""

import asyncio
import os
import signal
import socket
import struct

PORTS = (80, 443)
IP_FREEBIND = 15  # linux/in.h: the address may be made after us


def listener(address, port):
    """A socket that listens there, whether or not the address is local yet."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
    made.bind((address, port))
    return made


async def pump(reader, writer):
    """Copies bytes until there are no more, and says so to the other side."""
    try:
        while True:
            data = await reader.read(65536)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def passed_on(reader, writer, target, port):
    """One connection. A client that is not there is a reset connection to who asks."""
    try:
        theirs, ours = await asyncio.open_connection(target, port)
    except OSError as error:
        print(f"{target} port {port}: {error}", flush=True)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    await asyncio.gather(pump(reader, ours), pump(theirs, writer))
    ours.close()
    writer.close()


async def main(address, target):
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)  # nothing else ends a first process
    for port in PORTS:
        await asyncio.start_server(
            lambda reader, writer, port=port: passed_on(reader, writer, target, port), sock=listener(address, port)
        )
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(os.environ["CLIENT_ADDRESS"], os.environ["TARGET"]))
