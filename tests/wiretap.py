"""Between the gateway and PostgreSQL: a socket that cuts the connection at a chosen moment."""

import asyncio
import contextlib
import tempfile
import threading
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Wiretap:
    """Forwards everything, until `cut_before` or `cut_after` names bytes to wait for; each cuts once.

    `cut_before`: what the gateway sends; the server never gets it. `cut_after`: what the server answers, after it
    has done as asked; the gateway never learns.
    """

    def __init__(self, server: Path, *, over_tcp: bool = False) -> None:
        self.cut_before = b""
        self.cut_after = b""
        self.cuts = 0
        self.is_silent = False
        """Whether it says nothing more instead of breaking the connection."""
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="tap")
        self.host = "127.0.0.1" if over_tcp else self._folder.name
        self.port = 5432
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        started.wait(5)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._folder.cleanup()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        if self.host == self._folder.name:
            self._listener = await asyncio.start_unix_server(self._serve, path=f"{self.host}/{SOCKET}")
        else:
            self._listener = await asyncio.start_server(self._serve, self.host, 0)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self._server))
        ways = [
            asyncio.create_task(self._forward(reader, back, "cut_before")),
            asyncio.create_task(self._forward(there, writer, "cut_after")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            back.close()

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: str) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                awaited = getattr(self, cut)
                if awaited and awaited in data:
                    setattr(self, cut, b"")
                    self.cuts += 1
                    if self.is_silent:
                        await asyncio.Event().wait()
                    return
                sink.write(data)
                await sink.drain()
