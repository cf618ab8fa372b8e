"""A connection: one request is read at a time, and the next one only when this one's answer is complete.

So nothing is ever written into the middle of an answer, and what a body holds is never taken for a request.
"""

import asyncio
import re
from collections.abc import Sequence
from time import monotonic
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from chuizi.server import clock
from chuizi.server.bodies import Chunked, Counted
from chuizi.server.cycle import Cycle, access_log
from chuizi.server.heads import END, LONE, MOST_HEAD_BYTES, Head, Unreadable, read_head
from chuizi.server.refusals import answer

HEAD_SECONDS = 10.0
REST_SECONDS = 10.0
"""For the rest of a body whose answer is complete."""
LINGER_SECONDS = 5.0
"""After a refusal what still comes is dropped for so long: to close over unread bytes would take the refusal back."""
STALLED_READER_SECONDS = 30.0
LEAST_READ_BYTES = 30_000
"""What a client has to read of its answer in that time."""
PROBES = (0.05, 0.05, 0.2, 0.7)
"""Seconds between the writes that tell whether a client has left; clients take five interim answers and no more."""
MUCH_UNREAD_BYTES = 65_536
"""Of a body that the application does not take: more is left in the network."""
NEVER = float("inf")
BLANK_LINES = re.compile(rb"(?:\r\n)*")


class Connection(asyncio.Protocol):
    """What uvicorn calls a protocol."""

    __slots__ = (
        "_app_state", "_body", "_client", "_config", "_cycle", "_ends", "_is_half", "_is_reading", "_kept", "_local",
        "_scheme", "_seen", "_state", "_transport", "_unsent", "access_logged", "deadline", "loop", "unwritable",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_event_loop()
        self.access_logged = access_log.hasHandlers()
        self.deadline = NEVER  # by time.monotonic()
        self.unwritable: asyncio.Event | None = None
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._cycle: Cycle | None = None
        self._body: Counted | Chunked | None = None  # while some of it is to come
        self._kept = b""  # of a head that is not complete, or what came behind the request that is being answered
        self._seen = False  # whether there was a request
        self._ends = False  # whether what still comes is dropped
        self._is_half = False  # whether the client has said that it sends nothing more
        self._is_reading = True
        self._unsent = 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._local, self._client = get_local_addr(transport), get_remote_addr(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        self.deadline = monotonic() + HEAD_SECONDS
        self._state.connections.add(self)  # type: ignore[arg-type]
        clock.watch(self._state, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)  # type: ignore[arg-type]
        cycle, self._cycle = self._cycle, None
        if cycle is not None and not cycle.answered:
            cycle.lose()
        self.resume_writing()
        self._body, self._kept = None, b""
        self._ends = True

    def data_received(self, data: bytes) -> None:
        if self._ends:
            return
        try:
            if self._body is not None:
                self._read_body(data)
            elif self._cycle is None:
                self._read_head(data)
            else:
                self._keep(self._kept + data)
        except Unreadable as fault:
            self._refuse(fault)

    def eof_received(self) -> bool:
        """The client sends nothing more: it has left, or has shut its sending side alone and waits, as `nc -N` does.

        Who has left answers whatever is written with a reset; nothing else tells.
        """
        self._is_half = True
        cycle = self._cycle
        if self._ends or cycle is None or cycle.answered or self._body is not None:
            return False
        if not self._transport.can_write_eof():
            return False  # TLS has no halves
        self.loop.call_later(PROBES[0], self._probe, cycle, PROBES[1:])
        return True

    def _probe(self, cycle: Cycle, pauses: tuple[float, ...]) -> None:
        if self._cycle is not cycle or cycle.answered:
            return
        cycle.probe()
        if pauses:
            self.loop.call_later(pauses[0], self._probe, cycle, pauses[1:])
        elif not cycle.can_be_probed:
            self.close()

    def pause_writing(self) -> None:
        self.unwritable = asyncio.Event()
        self._expect_reading()

    def resume_writing(self) -> None:
        if self.unwritable is not None:
            self.unwritable.set()
            self.unwritable = None
            if self._cycle is not None and not self._cycle.answered:
                self.deadline = NEVER

    # What uvicorn calls

    def shutdown(self) -> None:
        """Take no further request."""
        if self._cycle is None or self._cycle.answered:
            self.close()
        else:
            self._cycle.keep_alive = False

    # What the clock calls

    def expire(self) -> None:
        """The deadline is over."""
        if self._ends or self.unwritable is not None:
            if self._transport.get_write_buffer_size() > self._unsent - LEAST_READ_BYTES:
                self._transport.abort()
            else:
                self._expect_reading()
        elif self._cycle is not None or (self._seen and not self._kept):
            self.close()
        else:
            self._refuse(Unreadable(408, "The request's head did not arrive in time."))

    def _expect_reading(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = monotonic() + STALLED_READER_SECONDS

    # What the cycle calls

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return self._state.default_headers

    def write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self._transport.writelines(pieces)

    def resume_reading(self) -> None:
        if not self._is_reading and len(self._kept) <= MOST_HEAD_BYTES:
            self._is_reading = True
            self._transport.resume_reading()

    def must_end(self, cycle: Cycle) -> bool:
        """Whether this is the last answer: too much of the request's body is to come, or nobody knows how much."""
        return self._ends or (self._body is not None and (cycle.expects_continue or not self._body.is_short))

    def end_cycle(self, cycle: Cycle) -> None:
        """The answer is complete."""
        self._state.total_requests += 1
        if self._transport.is_closing():
            return
        if not cycle.keep_alive:
            self.end()
        elif self._body is None:
            self._begin_again()
        else:
            self.deadline = monotonic() + REST_SECONDS
            self.resume_reading()

    def end(self) -> None:
        """Take nothing more, and close when what is written has left."""
        if self._body is None and not self._ends:
            self.close()
        else:
            self._linger()

    def close(self) -> None:
        self._ends = True
        self._transport.close()
        self._expect_reading()

    # Reading

    def _read_head(self, data: bytes) -> None:
        seen = len(self._kept)
        if seen:
            data = self._kept + data
        if data.startswith(b"\r\n"):
            data = data[BLANK_LINES.match(data).end() :]  # type: ignore[union-attr]
            seen = 0
        end = data.find(END, max(0, seen - 3))
        size = (end if end >= 0 else len(data)) + len(END)
        if size > MOST_HEAD_BYTES:
            raise Unreadable(431, f"A request's head may have at most {MOST_HEAD_BYTES} bytes.")
        if end >= 0:
            self._begin(read_head(data[:size]), size=size, rest=data[size:])
            return
        if LONE.search(data, max(0, seen - 1)):
            raise Unreadable(400, "A line of the request's head does not end in CR LF.")
        if self._seen and data and not self._kept:
            self.deadline = monotonic() + HEAD_SECONDS
        self._kept = data

    def _begin(self, head: Head, *, size: int, rest: bytes) -> None:
        self._seen = True
        self._kept = b""
        if self.unwritable is None:  # else the answer before it is still to be read
            self.deadline = NEVER
        self._cycle = cycle = Cycle(self, head, self._scope(head))
        if head.length == 0:
            cycle.feed(b"", ended=True)
            self._keep(rest)
        else:
            self._body = Chunked(head_bytes=size) if head.length is None else Counted(head.length)
            if rest:
                self._read_body(rest)
        config, state = self._config, self._state
        limit = config.limit_concurrency
        is_full = limit is not None and (len(state.connections) >= limit or len(state.tasks) >= limit)
        task = self.loop.create_task(cycle.run(service_unavailable if is_full else config.loaded_app))
        task.add_done_callback(state.tasks.discard)
        state.tasks.add(task)

    def _scope(self, head: Head) -> dict[str, Any]:
        root = self._config.root_path
        return {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self._local,
            "client": self._client,
            "scheme": self._scheme,
            "method": head.method,
            "root_path": root,
            "path": root + head.path,
            "raw_path": root.encode("ascii") + head.raw_path,
            "query_string": head.query,
            "headers": head.headers,
            "state": self._app_state.copy(),
        }

    def _read_body(self, data: bytes) -> None:
        body, cycle = self._body, self._cycle
        if body is None or cycle is None:
            raise RuntimeError("no body is expected")
        piece = body.feed(data)
        if body.ended:
            self._body = None
            self._keep(body.rest)
        if cycle.answered:
            if body.ended:
                self._begin_again()
            return
        cycle.feed(piece, ended=body.ended)
        if cycle.unread > MUCH_UNREAD_BYTES:
            self._pause_reading()

    def _keep(self, data: bytes) -> None:
        """For after the answer."""
        self._kept = data
        if len(data) > MOST_HEAD_BYTES:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _begin_again(self) -> None:
        """Request and answer are complete: the next one."""
        self._cycle = None
        data, self._kept = self._kept, b""
        if self.unwritable is None:
            self.deadline = monotonic() + self._config.timeout_keep_alive
        else:
            self._expect_reading()
        self.resume_reading()
        if data:
            self.data_received(data)
        if self._is_half and self._cycle is None:
            self.close()

    # Refusing

    def _refuse(self, fault: Unreadable) -> None:
        """Say so if no answer has begun, and end the connection."""
        cycle = self._cycle
        self._body, self._kept = None, b""
        self._ends = True
        if cycle is None or not cycle.started:
            if cycle is not None:
                cycle.lose()
            self._transport.write(answer(fault.status, fault.message))
            self._linger()
        elif cycle.answered:
            self._linger()
        else:
            cycle.lose_body()
            self.resume_reading()

    def _linger(self) -> None:
        """Close the sending side alone at first."""
        if not self._transport.can_write_eof():
            self.close()
            return
        self._ends = True
        self._transport.write_eof()
        self._expect_reading()
        self.deadline = monotonic() + LINGER_SECONDS
        self.resume_reading()
