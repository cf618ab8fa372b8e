"""How many tokens a large prompt has by its model's own vocabulary, as `tokenizer.py` finds it in a process of its own.

One process counts for all gateways of a user on a machine. The first that has something to count begins it, and it ends
with the last of them; where it is gone, full or too slow nobody waits for it, and what was learned goes instead. The
count is careful, but no bound: what a provider puts around a prompt it does not tell. docs/decisions/0012-counting.md
"""

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import socket
import stat
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic

from proxy.batches.timeouts import timeout
from proxy.learning.tokenizer import ANSWER, HEAD, MOST_BYTES, NO_ANSWER, VOCABULARIES
from proxy.prices.bounds import LIKELY_FRAME_TOKENS, LIKELY_TOOL_FRAME_TOKENS, Material
from proxy.watch import metrics

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("tokenizer.py")
COUNTED_FROM = 16_384
"""Bytes of a prompt: counting them takes some 2 ms, most of which is the way there and back."""
MARGIN = 20
"""A twentieth is added for what a provider makes of messages and tools beyond their JSON."""
WAIT_SECONDS, WAIT_SECONDS_A_BYTE = 0.25, 0.3 / 1_000_000
"""A megabyte takes 0.01 to 0.1 s, a vocabulary is read in 0.1 s."""
START_SECONDS = 1.0
REST_SECONDS = 1.0
"""Nobody asks a counter that failed or was too slow for so long."""
MOST_OF_ONE_CUSTOMER, MOST_IN_PROCESS = 8, 32
MOST_BYTES_IN_PROCESS = 4 * MOST_BYTES
BEGIN_SECONDS = 10.0
"""And nobody begins it anew sooner: something is wrong with it."""
SOCKET, BACKLOG = ".socket", 128
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
LOST = (OSError, EOFError)


class TokenCounter:
    """One gateway process's way to it."""

    def __init__(self) -> None:
        self._here: asyncio.StreamWriter | None = None
        """The connection by which the process knows that this gateway is there."""
        self._reaching = asyncio.Lock()
        self._place = ""
        self._child: int | None = None
        self._begins_from = 0.0
        self._rests_until = 0.0
        self._asking: Counter[int] = Counter()
        self._bytes = 0

    async def count(self, vocabulary: str, body: bytes, material: Material, *, customer_id: int) -> int | None:
        """Tokens of input, careful; `body` holds the members of a JSON object, without its braces. None where nobody
        counts them in time.
        """
        size = len(body) + 2
        is_busy = (
            self._asking[customer_id] >= MOST_OF_ONE_CUSTOMER
            or self._asking.total() >= MOST_IN_PROCESS
            or self._bytes + size > MOST_BYTES_IN_PROCESS
        )
        if size > MOST_BYTES or is_busy or monotonic() < self._rests_until:
            return self._tell("passed over")
        self._asking[customer_id] += 1
        self._bytes += size
        try:
            if self._here is None:
                with timeout(START_SECONDS):
                    await self._reach()
            with timeout(WAIT_SECONDS + WAIT_SECONDS_A_BYTE * size):
                found = await self._ask(vocabulary, body)
        except TimeoutError:
            self._rest()
            return self._tell("too slow")
        except LOST as error:
            log.warning("a prompt was not counted: %s", type(error).__name__)
            self._rest()
            self._leave()
            return self._tell("failed")
        finally:
            self._bytes -= size
            self._asking[customer_id] -= 1
            if not self._asking[customer_id]:
                del self._asking[customer_id]
        if found == NO_ANSWER:
            return self._tell("failed")
        self._tell("counted")
        frame = LIKELY_TOOL_FRAME_TOKENS if material.tools else LIKELY_FRAME_TOKENS
        return found + found // MARGIN + frame

    def close(self) -> None:
        self._leave()
        self._reap()

    async def _ask(self, vocabulary: str, body: bytes) -> int:
        reader, writer = await asyncio.open_unix_connection(self._place)
        try:
            head = HEAD.pack(VOCABULARIES.index(vocabulary), len(body) + 2)
            writer.writelines((head, b"{", body, b"}"))
            found: int = ANSWER.unpack(await reader.readexactly(ANSWER.size))[0]
            return found
        finally:
            writer.transport.abort()

    async def _reach(self) -> None:
        """Be connected, with a process that was begun for it if there was none."""
        async with self._reaching:
            if self._here is not None:
                return
            self._place = place()
            try:
                _, self._here = await asyncio.open_unix_connection(self._place)
            except OSError:
                if monotonic() < self._begins_from:
                    raise
                self._begins_from = monotonic() + BEGIN_SECONDS
                await asyncio.to_thread(self._begin, self._place)
                _, self._here = await asyncio.open_unix_connection(self._place)

    def _begin(self, place: str) -> None:
        """Start the process, unless another gateway does: its lock is the process's own, and goes with it. Blocking."""
        self._reap()
        lock = os.open(place.replace(SOCKET, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with suppress(BlockingIOError), socket.socket(socket.AF_UNIX) as listener:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(place).unlink(missing_ok=True)
                listener.bind(place)
                listener.listen(BACKLOG)
                for number in (lock, listener.fileno()):
                    os.set_inheritable(number, True)
                command = [sys.executable, "-I", str(PROGRAM), str(listener.fileno())]
                nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
                self._child = os.posix_spawn(sys.executable, command, ENVIRONMENT, file_actions=nothing)
        finally:
            os.close(lock)

    def _reap(self) -> None:
        """Leave no dead process of ours behind."""
        if self._child is not None:
            with suppress(ChildProcessError):
                os.waitpid(self._child, os.WNOHANG)

    def _leave(self) -> None:
        if self._here is not None:
            self._here.transport.abort()
            self._here = None

    def _rest(self) -> None:
        self._rests_until = monotonic() + REST_SECONDS

    @staticmethod
    def _tell(outcome: str) -> None:
        metrics.COUNTS.labels(outcome).inc()


def place() -> str:
    """The socket's: of this release, in a folder that nobody else may enter. Raises `OSError` where there is none."""
    folder = Path(tempfile.gettempdir()) / f"chuizi-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "somebody else's folder", str(folder))
    return str(folder / f"{_release()}{SOCKET}")


@cache
def _release() -> str:
    return hashlib.sha256(f"{sys.executable}\0{PROGRAM}\0".encode() + PROGRAM.read_bytes()).hexdigest()[:16]
