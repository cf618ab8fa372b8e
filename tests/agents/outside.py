"""A proxy that lets nobody out, and knows who wanted to."""

import socketserver
import threading
from typing import Self


class Outside(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.wanted: list[str] = []
        super().__init__(("127.0.0.1", 0), Refusal)

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server_address[1]}"
        names = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), url) | {"no_proxy": "127.0.0.1,localhost"}
        return names | {name.upper(): value for name, value in names.items()}

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()
        self.server_close()


class Refusal(socketserver.StreamRequestHandler):
    server: Outside

    def handle(self) -> None:
        line = self.rfile.readline().decode(errors="replace").split()
        self.server.wanted.append(line[1] if len(line) > 1 else "")
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
