"""How many tokens prompts have: `python -I tokenizer.py LISTENER`, for the gateways that connect to that socket.

A process of its own, that imports nothing of the project and knows none of its secrets: what reads strangers' text in a
compiled library may crash, loop or be taken over, and can do no more than say a wrong number, which nobody is charged
for. It ends with the last connection. Who connects says nothing, and is only there; or asks once: one byte for the
vocabulary, four for the body's size, the body, a JSON object. The answer is four bytes.

Of the body every text counts as the model reads it, the rest as JSON. A text is counted in pieces, in turn with those
of others: a long one delays nobody by more than a piece.
"""

import importlib.util
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any

VOCABULARIES = ("o200k_base", "cl100k_base")
HEAD, ANSWER = struct.Struct("!BI"), struct.Struct("!I")
NO_ANSWER = 0xFFFFFFFF
MOST_BYTES = 4_194_304
PIECE = 65_536
"""Characters."""
SHORT = 16
"""A text of fewer characters is counted where it stands."""
PIECE_SECONDS = 5
"""Whatever takes longer hangs: the process ends, and the next one begins anew."""
FIRST_SECONDS = 10.0
MEMORY_BYTES = 1_500_000_000
AT_ONCE = 128
STACK_BYTES = 1_048_576


def loaded() -> Any:
    """The compiled half of bpe-openai. Its other half would take 70 MB for tables that nobody asks for."""
    found = importlib.util.find_spec("bpe_openai")
    folders = found.submodule_search_locations if found is not None else None
    if not folders:
        raise ModuleNotFoundError("bpe_openai")
    paths = [os.path.join(folders[0], "_bindings" + suffix) for suffix in EXTENSION_SUFFIXES]
    path = next(filter(os.path.exists, paths), None)
    spec = importlib.util.spec_from_file_location("bpe_openai._bindings", path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("bpe_openai._bindings")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Vocabularies:
    """Each is read when it is first asked for, 30 to 70 MB."""

    def __init__(self) -> None:
        self._package = loaded()
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> Any:
        with self._lock:
            if name not in self._known:
                self._known[name] = self._package.tokenizer_for_encoding(name)
            return self._known[name]


def texts_of(body: Any) -> Iterator[str]:
    """The texts that a model reads, and all the rest of it as one."""
    texts: list[str] = []

    def emptied(value: Any) -> Any:
        if isinstance(value, str):
            if len(value) < SHORT:
                return value
            texts.append(value)
            return ""
        if isinstance(value, list):
            return [emptied(one) for one in value]
        if isinstance(value, dict):
            return {name: emptied(one) for name, one in value.items()}
        return value

    rest = json.dumps(emptied(body), ensure_ascii=False, separators=(",", ":"))
    yield from texts
    yield rest


def pieces(text: str) -> Iterator[str]:
    text = text.encode("utf-8", "replace").decode()  # half characters are no text
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


class Counter:
    """Serves until nobody is connected."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._vocabularies = Vocabularies()
        self._connected = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        self._listener.settimeout(FIRST_SECONDS)
        while True:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                return
            connection.settimeout(None)
            self._listener.settimeout(None)
            with self._lock:
                self._connected += 1
                is_full = self._connected > AT_ONCE
            if is_full:
                self._leave(connection)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            head = _read(connection, HEAD.size)
            if head is not None:
                vocabulary, size = HEAD.unpack(head)
                body = _read(connection, size) if size <= MOST_BYTES and vocabulary < len(VOCABULARIES) else None
                if body is not None:
                    connection.sendall(ANSWER.pack(self._count(connection, VOCABULARIES[vocabulary], body)))
        except OSError:
            pass  # it has left
        finally:
            self._leave(connection)

    def _count(self, connection: socket.socket, vocabulary: str, body: bytes) -> int:
        try:
            tokens, found = self._vocabularies.named(vocabulary), 0
            for text in texts_of(json.loads(body)):
                for piece in pieces(text):
                    signal.alarm(PIECE_SECONDS)
                    found += tokens.count(piece)
                    signal.alarm(0)
                    if _has_left(connection):
                        return NO_ANSWER
        except (ValueError, RecursionError, MemoryError):
            return NO_ANSWER
        return min(found, NO_ANSWER - 1)

    def _leave(self, connection: socket.socket) -> None:
        connection.close()
        with self._lock:
            self._connected -= 1
            if not self._connected:
                os._exit(0)


def _read(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes, or None from one that has closed."""
    read = bytearray()
    while len(read) < size:
        data = connection.recv(min(size - len(read), 262_144))
        if not data:
            return None
        read += data
    return bytes(read)


def _has_left(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


if __name__ == "__main__":
    os.setsid()
    os.chdir("/")
    limit(resource.RLIMIT_AS, MEMORY_BYTES)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    threading.stack_size(STACK_BYTES)
    serving = Counter(socket.socket(fileno=int(sys.argv[1])))
    limit(resource.RLIMIT_NOFILE, 2 * AT_ONCE)
    serving.run()
