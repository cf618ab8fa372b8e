"""An upstream that is named by number is judged before it is dialled: no resolver is asked about it."""

import asyncio

import pytest

from core.outside.resolving import AddressRefused
from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.relay.client import Client


@pytest.mark.parametrize("host", ["127.1", "2130706433", "127.0.0.1", "[::1]", "[::ffff:7f00:1]", "127.0.0.1.", "0"])
def test_no_spelling_of_a_private_address_is_dialled(settings, upstream, host):
    port = upstream.url.split(":")[2].partition("/")[0]
    destination = Destination(
        model="openai/m",
        upstream_id=1,
        upstream="first",
        protocol="openai",
        base_url=f"http://{host}:{port}/v1",
        api_key="sk-secret-key",
        upstream_model="m",
        timeout=2.0,
        total_timeout=2.0,
    )

    async def ask() -> None:
        client = Client(allow_private=False)
        try:
            await client.send(destination, Sending("/chat/completions", {}, (b"{}",)), taken=lambda: None)
        finally:
            await client.close()

    with pytest.raises(AddressRefused):
        asyncio.run(ask())
