"""Gateway processes of their own, for races and kills, and a load on them."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter

import aiohttp
from django.conf import settings

from tests.template import database_url

BODY = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}


async def ask_many(urls: list[str], key: str, count: int, *, at_once: int = 64) -> Counter[int]:
    """That many requests in turn over the urls; how often each status came back."""
    gate, statuses = asyncio.Semaphore(at_once), Counter()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

        async def ask(number: int) -> None:
            url = urls[number % len(urls)] + "/v1/chat/completions"
            async with gate, session.post(url, json=BODY) as response:
                await response.read()
                statuses[response.status] += 1

        await asyncio.gather(*(ask(number) for number in range(count)))
    return statuses


_started: list["GatewayProcess"] = []


def kill_those_left() -> None:
    """A failed test leaves its gateways behind, and the next test would find their holds and leases."""
    while _started:
        gateway = _started.pop()
        if gateway.process.poll() is None:
            gateway.kill()


class GatewayProcess:
    """`uvicorn chuizi.asgi:application` on a free port, on the test database unless another is named."""

    def __init__(
        self,
        *arguments: str,
        module: str = "chuizi.asgi",
        database_url: str | None = None,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "uvicorn", f"{module}:application", "--log-level", "warning"]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *arguments],
            env={
                **os.environ,
                "DATABASE_URL": database_url or url_of_the_test_database(),
                "STOP_NOTICE_SECONDS": "0",
                "DRAIN_SECONDS": "1",
                "LOG_LEVEL": "ERROR",
                **environment,
            },
        )
        _started.append(self)

    def wait(self) -> "GatewayProcess":
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None, "the gateway ended"
            time.sleep(0.05)
        raise AssertionError("the gateway does not listen")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def url_of_the_test_database() -> str:
    return database_url(settings.DATABASES["default"]["NAME"])


def free_port() -> int:
    """A port that is free like the two after it.

    Below 32768, where the system takes those of outgoing connections from: until the port is listened on, another
    process of the tests may have got it otherwise.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
