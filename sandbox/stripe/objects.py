"""Stripe's objects by id: finding, listing, expanding."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox import crypto
from sandbox.store import Order
from sandbox.stripe.wire import StripeError, missing, whole
from sandbox.world import World

PAGE = 10
NAMES = {
    "pi": "payment_intent",
    "ch": "charge",
    "re": "refund",
    "txn": "balance transaction",
    "du": "dispute",
    "cus": "customer",
    "pm": "PaymentMethod",
    "seti": "setupintent",
    "evt": "event",
    "issfr": "early fraud warning",
}


class Objects:
    """`sessions` shows an order as a Checkout Session."""

    def __init__(self, world: World, *, sessions: Callable[[Order], dict[str, Any]]) -> None:
        self._world = world
        self._sessions = sessions

    @property
    def settles_in(self) -> str:
        """The account's currency, in small letters."""
        return self._world.settles_in

    def new(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        """A saved object with an id of its own."""
        thing = {
            "id": f"{prefix}_{crypto.letters(24)}",
            "object": kind,
            "created": int(self._world.now()),
            "livemode": False,
            **fields,
        }
        self.save(thing)
        return thing

    def save(self, thing: dict[str, Any]) -> None:
        self._world.store.objects.put(thing["id"], thing)

    def get(self, number: str, *, kind: str, param: str = "id") -> dict[str, Any]:
        """Raise `StripeError` with 404 if there is no such object of this kind."""
        thing = self._world.store.objects.get(number)
        if thing is None or thing["object"] != kind:
            raise missing(NAMES.get(number.partition("_")[0], kind), number, param=param)
        return thing

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [thing for thing in self._world.store.objects if thing["object"] == kind]

    def session(self, number: str) -> dict[str, Any]:
        """In payment mode it is an order, in setup mode an object."""
        order = self._world.store.orders.get(f"stripe:{number}")
        if order is not None and number.startswith("cs_"):
            return self._sessions(order)
        thing = self._world.store.objects.get(number)
        if thing is None or thing["object"] != "checkout.session":
            raise missing("checkout.session", number, param="session")
        return thing

    def expanded(self, thing: dict[str, Any], expand: Iterable[str]) -> dict[str, Any]:
        """A copy with each dotted path of ids replaced by the objects themselves."""
        result: dict[str, Any] = copy.deepcopy(thing)
        for path in expand:
            self._expand(result, str(path).split("."), str(path))
        return {name: public(part) for name, part in result.items() if not name.startswith("sandbox_")}

    def listed(
        self, things: list[dict[str, Any]], query: Mapping[str, Any], *, url: str, filters: Iterable[str] = ()
    ) -> dict[str, Any]:
        """A page of things, newest first, by Stripe's cursors; raise `StripeError`."""
        found = [thing for thing in things if _fits(thing, query, filters)]
        found.reverse()
        found.sort(key=lambda thing: -int(thing["created"]))
        limit = whole(query.get("limit", PAGE), param="limit")
        if not 1 <= limit <= 100:
            raise StripeError("Invalid limit: must be between 1 and 100.", param="limit")
        ids = [thing["id"] for thing in found]
        start, end = 0, len(found)
        for name in ("starting_after", "ending_before"):
            if (cursor := query.get(name)) and cursor not in ids:
                raise missing("object", str(cursor), param=name)
        if after := query.get("starting_after"):
            start = ids.index(after) + 1
        if before := query.get("ending_before"):
            end = ids.index(before)
            start = max(start, end - limit)
        page = {"object": "list", "url": url, "has_more": end - start > limit, "data": found[start:end][:limit]}
        return self.expanded(page, query.get("expand", []))

    def _expand(self, here: Any, path: list[str], whole_path: str) -> None:
        if isinstance(here, list):
            for item in here:
                self._expand(item, path, whole_path)
            return
        if not isinstance(here, dict) or not path:
            return
        name, rest = path[0], path[1:]
        if name == "data" and here.get("object") == "list":
            self._expand(here["data"], rest, whole_path)
            return
        if name == "line_items" and here.get("object") == "checkout.session":
            here[name] = self.line_items(here["id"])
            return
        if name not in here:
            message = f"This property cannot be expanded ({whole_path})."
            raise StripeError(message, param="expand")
        if isinstance(here[name], str) and (thing := self._world.store.objects.get(here[name])):
            here[name] = copy.deepcopy(thing)
        self._expand(here[name], rest, whole_path)

    def line_items(self, session: str) -> dict[str, Any]:
        order = self._world.store.orders.get(f"stripe:{session}")
        items = order.request.get("line_items", []) if order else []
        data = []
        for index, item in enumerate(items):
            price, quantity = item["price_data"], int(item.get("quantity", 1))
            total = int(price["unit_amount"]) * quantity
            data.append(
                {
                    "id": f"li_{index}_{session[-16:]}",
                    "object": "item",
                    "amount_subtotal": total,
                    "amount_total": total,
                    "currency": price["currency"].lower(),
                    "description": price.get("product_data", {}).get("name", ""),
                    "quantity": quantity,
                }
            )
        return {"object": "list", "data": data, "has_more": False, "url": f"/v1/checkout/sessions/{session}/line_items"}


def public(thing: Any) -> Any:
    """Without the fields that only the sandbox knows."""
    if isinstance(thing, list):
        return [public(part) for part in thing]
    if not isinstance(thing, dict):
        return thing
    return {name: public(part) for name, part in thing.items() if not name.startswith("sandbox_")}


def _fits(thing: dict[str, Any], query: Mapping[str, Any], filters: Iterable[str]) -> bool:
    for name in filters:
        if query.get(name) and thing.get(name) != query[name]:
            return False
    created = query.get("created")
    if created is None:
        return True
    if not isinstance(created, dict):
        return int(thing["created"]) == whole(created, param="created")
    made = int(thing["created"])
    compare = {
        "gt": lambda limit: made > limit,
        "gte": lambda limit: made >= limit,
        "lt": lambda limit: made < limit,
        "lte": lambda limit: made <= limit,
    }
    for name, limit in created.items():
        if name not in compare:
            raise StripeError(f"Received unknown parameter: created[{name}]", code="parameter_unknown", param="created")
        if not compare[name](whole(limit, param=f"created[{name}]")):
            return False
    return True
