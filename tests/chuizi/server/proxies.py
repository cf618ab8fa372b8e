"""nginx, HAProxy and Caddy as `deploy/` ships them, started before a server of the tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gateways import free_port

DEPLOY = Path(__file__).parents[3] / "deploy"
WITH_WEBSOCKETS = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream behind { server ${CHUIZI_GATEWAY}; keepalive 8; }
server {
    listen ${CHUIZI_LISTEN};
    location / {
        proxy_pass http://behind;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""
KEPT = WITH_WEBSOCKETS.replace("'' close;", "'' '';")
"""As many pages recommend it, and as others do who keep connections to the server."""


@contextmanager
def proxy(name: str, *, port: int, folder: Path) -> Iterator[int]:
    """That proxy before the server on `port`; yields its own port."""
    listen = free_port()
    names = {
        "CHUIZI_LISTEN": f"127.0.0.1:{listen}",
        "CHUIZI_GATEWAY": f"127.0.0.1:{port}",
        "CHUIZI_WEB": f"127.0.0.1:{port}",
        "CHUIZI_SITE": f"http://:{listen}",
        "HOME": str(folder),
    }
    process = subprocess.Popen(
        _command(name, names, folder), env={**os.environ, **names}, cwd=folder, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 10
        while not _listens(listen):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.05)
        yield listen
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _command(name: str, names: dict[str, str], folder: Path) -> list[str]:
    if name == "haproxy":
        return [_program("haproxy"), "-db", "-f", str(DEPLOY / "haproxy.cfg")]
    if name == "caddy":
        return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    site = {
        "nginx": (DEPLOY / "nginx.conf.template").read_text(),
        "nginx with WebSockets": WITH_WEBSOCKETS,
        "nginx with WebSockets and kept connections": KEPT,
    }[name]
    for variable, value in names.items():
        site = site.replace(f"${{{variable}}}", value)
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.getuid() == 0 else ""
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {folder}/pid; error_log stderr; events {{}}"
        f" http {{ access_log off; client_body_temp_path {folder}/body; {temporary} include {folder}/site.conf; }}"
    )
    return [_program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; bin/install-test-programs does it on Debian")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
