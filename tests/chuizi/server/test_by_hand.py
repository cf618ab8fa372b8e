"""`uvicorn chuizi.asgi:application`, however it is started, reads HTTP with our reader."""

from contextlib import closing

import httpx2 as httpx
import pytest

from tests.chuizi.server.conftest import Client
from tests.gateways import GatewayProcess

pytestmark = pytest.mark.faults
BODY = b"\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
ODD = b"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
ODD = ODD % len(BODY) + BODY


@pytest.mark.parametrize(
    "arguments", [[], ["--http", "h11"], ["--http", "httptools", "--loop", "asyncio"], ["--workers", "2"]], ids=" ".join
)
def test_started_by_hand_it_has_the_same_limits(transactional_db, arguments):
    gateway = GatewayProcess(*arguments).wait()
    try:
        assert httpx.get(gateway.url + "/healthz").text == "ok"
        with closing(Client(gateway.port)) as client:
            client.send(ODD, b"GET /x HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000)
            assert client.read_to_the_end() == [200, 431]
            assert b'"request_too_large"' in client.seen
    finally:
        gateway.stop()
