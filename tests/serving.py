"""A uvicorn server in a thread, which ends as soon as it is told to."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from typing import Any, Self

import uvicorn

LOOK_SECONDS = 0.005


class Server(uvicorn.Server):
    """`start()`, `port`, `run_there(coroutine)`, `stop()`.

    uvicorn's own looks ten times a second whether it is to stop, and then gives its connections another tenth: more
    than most tests take.
    """

    def __init__(self, application: Any, **config: Any) -> None:
        super().__init__(uvicorn.Config(application, port=0, **config))
        self._thread = threading.Thread(target=self.run, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self.started and time.monotonic() < deadline and self._thread.is_alive():
            time.sleep(LOOK_SECONDS)
        assert self.started, "the server did not start"
        return self

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    def run_there(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run it in the server's loop, to its end."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def stop(self) -> None:
        self.should_exit = True
        self._thread.join(15)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(LOOK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + (self.config.timeout_graceful_shutdown or 15)
        while (self.server_state.connections or self.server_state.tasks) and not self.force_exit:
            if time.monotonic() > deadline:
                for task in self.server_state.tasks:
                    task.cancel()
                break
            await asyncio.sleep(LOOK_SECONDS)
        if not self.force_exit:
            await self.lifespan.shutdown()
