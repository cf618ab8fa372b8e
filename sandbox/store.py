"""What the providers remember: in memory, and in one SQLite file, so that a restart keeps the orders."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class Order:
    """A payment asked for. `amount` in cents or fen; times are unix seconds; `request` is what the merchant sent."""

    provider: str
    number: str  # the merchant's; for Stripe the id of the session
    token: str  # the last part of its pay page's address
    amount: int
    currency: str
    description: str
    created: float
    expires: float
    alias: str = ""  # Stripe's client_reference_id: the merchant's own number
    state: str = "open"  # open | paid | closed | failed
    notify_url: str = ""
    transaction: str = ""  # the provider's number, known once a payer has been seen
    is_scanned: bool = False
    is_finished: bool = False  # Alipay: past the time for refunds
    paid_at: float = 0
    closed_at: float = 0
    note: str = ""  # of the last attempt to pay
    request: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, Any] = field(default_factory=dict)  # what to say instead of the truth: amount, currency, ...

    @property
    def key(self) -> str:
        return f"{self.provider}:{self.number}"


@dataclass
class Refund:
    """Money on its way back, Alipay's and WeChat's (Stripe's are objects). `due` is when it becomes `outcome`."""

    provider: str
    number: str  # the merchant's: out_request_no, out_refund_no
    id: str
    order: str  # the order's key
    amount: int
    created: float
    state: str = "pending"  # pending | done | failed | closed | abnormal
    due: float = 0
    outcome: str = "done"
    done_at: float = 0
    reason: str = ""
    notify_url: str = ""
    account: str = "支付用户零钱"  # where WeChat says that it goes

    @property
    def key(self) -> str:
        return f"{self.order}:{self.number}" if self.provider == "alipay" else f"{self.provider}:{self.number}"


@dataclass
class Movement:
    """What moved on an account at Alipay or WeChat Pay besides payments and refunds: a payout, a fee, a correction.

    `amount` in fen, below zero when it was taken; `kind` as the fund flow calls it.
    """

    provider: str
    number: str
    kind: str
    amount: int
    at: float
    note: str = ""


class Shelf(Generic[T]):
    """Things by key, in order of their first saving."""

    def __init__(
        self, store: "Store", name: str, load: Callable[[dict[str, Any]], T], dump: Callable[[T], Any]
    ) -> None:
        self._store = store
        self._name = name
        self._dump = dump
        self._things: dict[str, T] = {key: load(json.loads(body)) for key, body in store.read(name)}

    def put(self, key: str, thing: T) -> None:
        self._things[key] = thing
        self._store.write(self._name, key, json.dumps(self._dump(thing)))

    def get(self, key: str) -> T | None:
        return self._things.get(key)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._things.values()))

    def __len__(self) -> int:
        return len(self._things)

    def clear(self) -> None:
        self._things.clear()
        self._store.erase(self._name)


class Store:
    """`path` may be ":memory:". One process, one thread."""

    def __init__(self, path: Path | str) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        # A sandbox may lose its last second to a power cut, but not to a kill.
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute("CREATE TABLE IF NOT EXISTS thing (shelf, key, body, PRIMARY KEY (shelf, key))")
        self.orders: Shelf[Order] = Shelf(self, "order", lambda body: Order(**body), asdict)
        self.refunds: Shelf[Refund] = Shelf(self, "refund", lambda body: Refund(**body), asdict)
        self.movements: Shelf[Movement] = Shelf(self, "movement", lambda body: Movement(**body), asdict)
        self.objects: Shelf[dict[str, Any]] = Shelf(self, "object", dict, dict)
        self.answers: Shelf[dict[str, Any]] = Shelf(self, "answer", dict, dict)  # to Stripe's idempotency keys
        self._open = {order.key for order in self.orders if order.state == "open"}
        self._tokens = {order.token: order.key for order in self.orders}
        self._aliases = {f"{order.provider}:{order.alias}": order.key for order in self.orders if order.alias}
        self._transactions = {f"{order.provider}:{order.transaction}": order.key for order in self.orders}
        self._refunds: dict[str, dict[str, Refund]] = {}
        self._due = {refund.key for refund in self.refunds if refund.due}
        for refund in self.refunds:
            self._refunds.setdefault(refund.order, {})[refund.key] = refund

    def read(self, shelf: str) -> list[tuple[str, str]]:
        rows = self._file.execute("SELECT key, body FROM thing WHERE shelf = ? ORDER BY rowid", (shelf,))
        return [(key, body) for key, body in rows]

    def write(self, shelf: str, key: str, body: str) -> None:
        upsert = "INSERT INTO thing VALUES (?, ?, ?) ON CONFLICT (shelf, key) DO UPDATE SET body = excluded.body"
        self._file.execute(upsert, (shelf, key, body))

    def erase(self, shelf: str) -> None:
        self._file.execute("DELETE FROM thing WHERE shelf = ?", (shelf,))

    def save_order(self, order: Order) -> None:
        self.orders.put(order.key, order)
        self._tokens[order.token] = order.key
        if order.alias:
            self._aliases[f"{order.provider}:{order.alias}"] = order.key
        if order.transaction:
            self._transactions[f"{order.provider}:{order.transaction}"] = order.key
        if order.state == "open":
            self._open.add(order.key)
        else:
            self._open.discard(order.key)

    def save_refund(self, refund: Refund) -> None:
        self.refunds.put(refund.key, refund)
        self._refunds.setdefault(refund.order, {})[refund.key] = refund
        if refund.due:
            self._due.add(refund.key)
        else:
            self._due.discard(refund.key)

    def order(self, provider: str, number: str) -> Order | None:
        """By the provider's or the merchant's own number, the newest if there are several."""
        key = f"{provider}:{number}"
        return self.orders.get(key) or self.orders.get(self._aliases.get(key, ""))

    def order_of_transaction(self, provider: str, transaction: str) -> Order | None:
        return self.orders.get(self._transactions.get(f"{provider}:{transaction}", "")) if transaction else None

    def order_of_token(self, token: str) -> Order | None:
        return self.orders.get(self._tokens.get(token, ""))

    def expired_orders(self, provider: str, *, now: float) -> list[Order]:
        """Open past their expiry."""
        found = [order for key in self._open if (order := self.orders.get(key)) is not None]
        return [order for order in found if order.provider == provider and order.expires <= now]

    def open_orders(self, provider: str = "") -> list[Order]:
        """Oldest first."""
        found = [order for key in self._open if (order := self.orders.get(key)) is not None]
        return sorted((o for o in found if provider in ("", o.provider)), key=lambda order: order.created)

    def refunds_of(self, order: Order) -> list[Refund]:
        return list(self._refunds.get(order.key, {}).values())

    def due_refunds(self, provider: str, *, now: float) -> list[Refund]:
        found = [refund for key in self._due if (refund := self.refunds.get(key)) is not None]
        return [refund for refund in found if refund.provider == provider and refund.due <= now]

    def refunded(self, order: Order) -> int:
        """In cents or fen: what went back or is on its way."""
        lost = ("failed", "closed")
        return sum(refund.amount for refund in self.refunds_of(order) if refund.state not in lost)

    def clear(self) -> None:
        self.orders.clear()
        self.refunds.clear()
        self.movements.clear()
        self.objects.clear()
        self.answers.clear()
        self._open.clear()
        self._tokens.clear()
        self._aliases.clear()
        self._transactions.clear()
        self._refunds.clear()
        self._due.clear()

    def close(self) -> None:
        self._file.close()
