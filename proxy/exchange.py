"""Raw ASGI: what Django would have supplied. Read a request within limits, send an answer, notice who has gone."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from core.web.middleware import new_request_id
from proxy.batches.timeouts import within
from proxy.errors import Refusal

if TYPE_CHECKING:
    from proxy.once.claims import Claim
    from proxy.once.recording import Recording

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGE_BODY = 262_144
"""Bytes from which on a body is looked at before it is read."""
LISTED = b"-beta"
"""How the headers end that name several things, on one line or on several."""
STALLED_BODY_SECONDS = 30.0
BODY_SECONDS = 300.0
LEAST_BODY_RATE = 10_000
"""Bytes a second, on average and past the first 30 s: who sends a byte now and then makes no progress."""
STALLED_READER_SECONDS = 30.0


class ClientGone(Exception):
    """Nobody is there to read the answer."""


class Budget(Protocol):
    def take(self, size: int) -> None:
        """Raise `Refusal` where there is no room for so many bytes more."""


class Closing(Protocol):
    def close(self) -> None: ...


class BodyBudget:
    """Bytes of request bodies in memory, over all requests of the process."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        if size > self._left:
            raise Refusal(503, "provider_unavailable", "The gateway is busy. Try again.", headers={"Retry-After": "1"})
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


class Pace:
    """How a body comes: `size` is what has come of `most` bytes, `wait` how many seconds the next may take."""

    __slots__ = ("_began", "most", "size", "wait")

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self.wait = STALLED_BODY_SECONDS
        self._began = monotonic()

    def allows(self, size: int) -> bool:
        self.size += size
        return self.size <= self.most

    def goes_on(self) -> bool:
        due = self._began + min(BODY_SECONDS, STALLED_BODY_SECONDS + self.size / LEAST_BODY_RATE)
        self.wait = min(STALLED_BODY_SECONDS, due - monotonic())
        return self.wait > 0

    def pause(self, seconds: float) -> None:
        """So long it waited for us, and not for its sender."""
        self._began += seconds


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """`more` are headers of every answer."""
        self.scope = scope
        self._more = more
        self.request_id = new_request_id()
        self.id_header = b""
        """A second name for x-request-id."""
        self.headers: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        for name, value in scope["headers"]:
            if (first := self.headers.setdefault(name, value)) != value:
                self._repeated.add(name)
                if name.endswith(LISTED):
                    self.headers[name] = first + b"," + value
        self.started = False
        self.status = 0
        self.taken = 0
        self.upload: Closing | None = None
        """What is on disk of it until it is over."""
        self.claim: Claim | None = None
        """How its repeats are known, if it may have some."""
        self.recording: Recording | None = None
        """What is sent, for who repeats it."""
        self._is_cut = False
        self._receive = receive
        self._send = send

    def repeats(self, *names: bytes) -> bool:
        """Whether one of these headers stands twice with different values."""
        return not self._repeated.isdisjoint(names)

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def lines(self, name: bytes) -> str:
        """All lines of a header that may stand several times, joined."""
        if name not in self.headers:
            return ""
        return ",".join(value.decode("latin-1") for found, value in self.scope["headers"] if found == name)

    @property
    def may_be_large(self) -> bool:
        """Whether a body is announced that is large, or that does not say how long it is."""
        announced = self.header(b"content-length")
        return int(announced) > LARGE_BODY if announced.isdigit() and len(announced) < 12 else True

    @property
    def peer(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""

    async def body(self, *, most: int, budget: Budget) -> bytes:
        """The whole body; raises `Refusal` 413, 408 or 503, or `ClientGone`. The caller gives `taken` back.

        All bodies are read here, of the gateway and of pages: silence, slowness and size have the same limits.
        """
        self.announced(most)
        whole: bytes | bytearray = b""
        pace, more = Pace(most), True
        while more:
            piece, more = await self.piece(pace)
            if piece:
                budget.take(len(piece))
                self.taken += len(piece)
                if not whole:
                    whole = piece
                else:
                    whole = whole if isinstance(whole, bytearray) else bytearray(whole)
                    whole += piece
        return bytes(whole)

    def announced(self, most: int) -> int | None:
        """How long the body is, where that is told beforehand; raises `Refusal` 413 where it is more."""
        announced = self.header(b"content-length")
        size = int(announced) if announced.isdigit() else None
        if size is not None and size > most:
            raise self._too_large(most)
        return size

    async def piece(self, pace: "Pace") -> tuple[bytes, bool]:
        """The next of the body, and whether more comes; raises `Refusal` 413 or 408, or `ClientGone`."""
        try:
            message = await within(pace.wait, self._receive())
        except TimeoutError:
            raise self._too_slow() from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        if not pace.allows(len(piece)):
            raise self._too_large(pace.most)
        if not message.get("more_body"):
            return piece, False
        if not pace.goes_on():
            raise self._too_slow()
        return piece, True

    @property
    def is_abandoned(self) -> bool:
        """Whether the client has disconnected; the body is to have been read. Not while `gone` is being awaited."""
        asked = self._receive().__await__()
        try:
            next(asked)
        except StopIteration as told:
            return bool(told.value["type"] == "http.disconnect")
        asked.close()
        return False

    def has_left(self) -> bool:
        """Whether nobody waits for the answer: it is abandoned, and no repeat of it is or may be answered with it."""
        return self.is_abandoned and not self.goes_on(is_billed=False)

    async def gone(self) -> None:
        """Return when the client has disconnected."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.started, self.status = True, status
        if self.recording is not None:
            headers = list(headers)
            self.recording.begin(status, headers)
        head = [*headers, *self._more, (b"x-request-id", self.request_id.encode())]
        if self.id_header:
            head.append((self.id_header, self.request_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def write(self, data: bytes) -> None:
        """Send a piece of a stream; raises `ClientGone` when nothing of it is read for 30 s."""
        if self.recording is not None:
            self.recording.add(data)
        await self._unless_stalled({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        if self.recording is not None:
            await self.recording.end(data)
        await self._unless_stalled({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        await self.start(
            status,
            [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers],
        )
        await self.end(body)

    # Who repeats it

    def note_charge(self) -> None:
        """What it has used is to be paid for, once."""
        if self.recording is not None:
            self.recording.is_charged = True

    def goes_on(self, *, is_billed: bool) -> bool:
        """Its client has left: whether the answer is wanted all the same, by who repeats it or may do so."""
        return self.recording is not None and self.recording.goes_on(is_billed=is_billed)

    @property
    def is_deserted(self) -> bool:
        """Nobody has waited for the answer's end, though it went on."""
        return self.recording is not None and self.recording.is_deserted

    async def _unless_stalled(self, message: Message) -> None:
        if self._is_cut:
            return
        try:
            await within(STALLED_READER_SECONDS, self._send(message))
        except (TimeoutError, OSError):
            self._is_cut = self.recording is not None  # others may read it
            raise ClientGone from None

    @staticmethod
    def _too_slow() -> Refusal:
        message = "The body did not arrive in time."
        return Refusal(408, "validation_error", message, headers={"Connection": "close"})

    @staticmethod
    def _too_large(most: int) -> Refusal:
        return Refusal(413, "request_too_large", f"The body may have at most {most} bytes.")
