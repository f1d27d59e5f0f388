"""A port of this machine's loopback inside one app's network, where the operator opened it."""

from __future__ import annotations

import asyncio
import contextlib
import socket

CONNECTIONS_MAX = 64
"""At the same time, for one port of one app."""
DIAL_SECONDS_MAX = 5.0
PIECE_BYTES = 64 << 10


class Relay:
    """Passes each connection of a listening socket on to a port of 127.0.0.1, both ways, as it comes."""

    def __init__(self, listening: socket.socket, port: int) -> None:
        """Takes the socket. Create it inside the running loop."""
        self._listening = listening
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()
        self._serving = asyncio.ensure_future(self._serve())

    def close(self) -> None:
        """Accept no more, and cut what is open."""
        self._serving.cancel()
        for connection in self._connections:
            connection.cancel()
        self._listening.close()

    # Private

    async def _serve(self) -> None:
        self._listening.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError:
                return
            if len(self._connections) >= CONNECTIONS_MAX:
                accepted.close()
                continue
            task = asyncio.ensure_future(self._pass(accepted))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _pass(self, accepted: socket.socket) -> None:
        near_reader, near = await asyncio.open_connection(sock=accepted)
        far: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                far_reader, far = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(_copy(near_reader, far), _copy(far_reader, near))
        except OSError:  # TimeoutError too: nobody listens there, or one side broke off
            pass
        finally:
            for writer in (near, far):
                if writer is not None:
                    writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, no faster than the other side takes it, with its end."""
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
