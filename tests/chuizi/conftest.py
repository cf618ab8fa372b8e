"""The whole application behind a real server, as `tests/proxy` has it, and bytes as a client puts them on the wire."""

import socket

import pytest

from tests.proxy.conftest import customer, gateway, second_upstream, upstream

__all__ = ["customer", "gateway", "second_upstream", "upstream"]


@pytest.fixture
def send_bytes(gateway):
    """A function: send these bytes, and read until the server closes; the status, and all that came."""

    def send(head: str, body: bytes = b"") -> tuple[int, str]:
        with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2])), timeout=20) as connection:
            text = head.replace("\n", "\r\n") + f"Authorization: Bearer {gateway.key}\r\nHost: 127.0.0.1\r\n"
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            connection.sendall((text + length + "Connection: close\r\n\r\n").encode("latin-1") + body)
            pieces = []
            while piece := connection.recv(65_536):
                pieces.append(piece)
        answer = b"".join(pieces).decode()
        return int(answer.split(" ", 2)[1]), answer

    return send
