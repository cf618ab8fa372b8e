"""The control API: what a test or a person does to orders, and how the providers misbehave. JSON, errors too."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox import faults, statements
from sandbox.alipay.gateway import Alipay
from sandbox.store import Order
from sandbox.stripe import payments
from sandbox.stripe.acts import VISA, Acts
from sandbox.stripe.objects import public
from sandbox.stripe.saved import Keeping
from sandbox.stripe.wire import StripeError
from sandbox.upstream.chat import CALLS, Calls
from sandbox.world import WORLD, NotPossible, Provider, World

Handler = Callable[[web.Request, World, dict[str, Any]], Any]
SETTINGS = {"site_url": str, "refund_seconds": float, "pace": float}


def routes() -> list[web.RouteDef]:
    table: list[tuple[str, str, Handler]] = [
        ("GET", "", overview),
        ("GET", "/orders", list_orders),
        ("GET", "/orders/{provider}/{number}", show_order),
        ("POST", "/orders/{provider}/{number}/{action}", act_on_order),
        ("GET", "/balances", list_balances),
        ("POST", "/payouts/{provider}", pay_out),
        ("POST", "/movements/{provider}", move),
        ("GET", "/refunds", list_refunds),
        ("POST", "/refunds/{provider}/{number}/{outcome}", settle_refund),
        ("POST", "/setups/{session}/keep", keep_card),
        ("POST", "/cards/{number}/detach", detach_card),
        ("GET", "/faults", list_faults),
        ("POST", "/faults", arm_fault),
        ("DELETE", "/faults", clear_faults),
        ("GET", "/notifications", list_notifications),
        ("POST", "/notifications/{id}/resend", resend),
        ("GET", "/upstream", upstream_calls),
        ("DELETE", "/upstream", forget_upstream),
        ("POST", "/settings", change_settings),
        ("POST", "/reset", reset),
    ]
    return [web.route(method, f"/control{path}", _json(handler)) for method, path, handler in table]


def overview(_request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    return {
        "faults": faults.KNOWN,
        "orders": len(world.store.orders),
        "settings": {
            **{name: getattr(world.config, name) for name in SETTINGS},
            "bills_at_once": world.is_bill_ready_at_once,
            "clock_offset": world.offset,
            "settles_in": world.settles_in,
        },
    }


def list_orders(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    provider, state = request.query.get("provider", ""), request.query.get("state", "")
    found = [o for o in world.store.orders if provider in ("", o.provider) and state in ("", o.state)]
    return {"orders": [shown(world, order) for order in found]}


def show_order(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    return shown(world, _order(request, world))


def act_on_order(request: web.Request, world: World, body: dict[str, Any]) -> Any:
    """pay, fail, close, scan, report, refund; finish at Alipay; dispute and warn at Stripe."""
    order, action = _order(request, world), request.match_info["action"]
    provider = world.providers[order.provider]
    if action == "pay":
        provider.pay(order, late=bool(body.get("late")))
    elif action == "fail":
        provider.fail(order, final=bool(body.get("final")))
    elif action == "close":
        provider.close(order)
    elif action == "scan":
        order.is_scanned = True
        world.store.save_order(order)
    elif action == "report":
        order.reported = body
        world.store.save_order(order)
    elif action == "refund":
        return provider.refund(order, amount=int(body.get("amount") or order.amount - world.store.refunded(order)))
    else:
        return _special(provider, order, action, body) or shown(world, order)
    return shown(world, order)


def list_balances(_request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    """What each provider holds, in cents or fen."""
    return {code: provider.held() for code, provider in world.providers.items()}


def pay_out(request: web.Request, world: World, body: dict[str, Any]) -> Any:
    """All that a provider holds, or `amount` of it, goes to the merchant's bank."""
    amount = body.get("amount")
    return _provider(request, world).pay_out(amount=None if amount is None else int(amount))


def move(request: web.Request, world: World, body: dict[str, Any]) -> Any:
    """A row of Alipay's or WeChat's fund flow: `kind` as it calls it, `amount` in fen, below zero to take it."""
    provider = _provider(request, world).code
    if provider not in statements.FEE_RATE:
        raise web.HTTPBadRequest(text=f"{provider} has no fund flow.")
    kind, amount, note = str(body.get("kind", "")), int(body.get("amount", 0)), str(body.get("note", ""))
    if not kind or not amount:
        raise web.HTTPBadRequest(text="A movement has a kind and an amount.")
    return asdict(statements.move(world, provider=provider, kind=kind, amount=amount, note=note))


def list_refunds(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    provider = request.query.get("provider", "")
    chosen = [known for code, known in world.providers.items() if provider in ("", code)]
    return {"refunds": [refund for known in chosen for refund in known.refunds()]}


def settle_refund(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    outcome = request.match_info["outcome"]
    if outcome not in ("done", "failed", "closed", "abnormal"):
        raise web.HTTPBadRequest(text="outcome must be done, failed, closed or abnormal")
    return _provider(request, world).settle_refund(request.match_info["number"], outcome=outcome)


def keep_card(request: web.Request, world: World, body: dict[str, Any]) -> Any:
    """As the card's holder on a session in setup mode; `card` is its number."""
    provider = world.providers["stripe"]
    session = world.store.objects.get(request.match_info["session"])
    if session is None or not isinstance(provider, Keeping):
        raise web.HTTPNotFound(text="There is no such session.")
    return public(provider.keep(session, payments.Card(str(body.get("card", VISA.number)))))


def detach_card(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    """Somebody removes a kept card in Stripe's dashboard."""
    provider = world.providers["stripe"]
    if not isinstance(provider, Keeping):
        raise web.HTTPNotFound(text="Nobody keeps cards.")
    try:
        return public(provider.detach(request.match_info["number"]))
    except StripeError as error:
        raise NotPossible(str(error)) from error


def list_faults(_request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    return {"faults": [asdict(fault) for fault in world.faults], "known": faults.KNOWN}


def arm_fault(_request: web.Request, world: World, body: dict[str, Any]) -> Any:
    try:
        return asdict(world.faults.arm(**body))
    except faults.UnknownFault as error:
        raise web.HTTPBadRequest(text=f"No fault {error}; there are {', '.join(faults.KNOWN)}.") from error
    except TypeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def clear_faults(_request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    world.faults.clear()
    return {"faults": []}


def list_notifications(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    """Oldest first; `provider` and `order` in the query narrow it."""
    provider, order = request.query.get("provider", ""), request.query.get("order", "")
    found = [n for n in world.delivery.log if provider in ("", n.provider) and (not order or order in n.orders)]
    return {"notifications": [notification.shown() for notification in found]}


def resend(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    number = request.match_info["id"]
    notification = world.delivery.resend(int(number)) if number.isascii() and number.isdigit() else None
    if notification is None:
        raise web.HTTPNotFound(text=f"No notification {number}.")
    return notification.shown()


def upstream_calls(request: web.Request, _world: World, _body: dict[str, Any]) -> Any:
    calls = request.app[CALLS]
    return {"calls": calls.total, "by_model": dict(calls.by_model), "last": list(calls.last)}


def forget_upstream(request: web.Request, _world: World, _body: dict[str, Any]) -> Any:
    fresh, calls = Calls(), request.app[CALLS]
    calls.total, calls.by_model, calls.last = fresh.total, fresh.by_model, fresh.last
    return {"calls": 0}


def change_settings(request: web.Request, world: World, body: dict[str, Any]) -> Any:
    """site_url, refund_seconds, pace, bills_at_once, clock_offset (seconds the providers' calendar is ahead).

    settles_in is the currency of Stripe's account: usd, eur, hkd, jpy or kwd.
    """
    for name, value in body.items():
        if name in SETTINGS:
            setattr(world.config, name, SETTINGS[name](value))
        elif name == "bills_at_once":
            world.is_bill_ready_at_once = bool(value)
        elif name == "clock_offset":
            world.offset = float(value)
        elif name == "settles_in" and value in payments.RATES:
            world.settles_in = str(value)
        else:
            raise web.HTTPBadRequest(text=f"No setting {name}.")
    return overview(request, world, {})


def reset(request: web.Request, world: World, _body: dict[str, Any]) -> Any:
    """Forget orders, refunds, faults and the log."""
    world.store.clear()
    world.faults.clear()
    world.delivery.forget()
    world.offset, world.is_bill_ready_at_once, world.settles_in = 0.0, False, "usd"
    forget_upstream(request, world, {})
    return {"orders": 0}


def shown(world: World, order: Order) -> dict[str, Any]:
    values = asdict(order)
    del values["token"]
    values["pay_url"] = f"{world.config.base_url}/{order.provider}/pay/{order.token}"
    return values


def _special(provider: Provider, order: Order, action: str, body: dict[str, Any]) -> dict[str, Any] | None:
    if action == "finish" and isinstance(provider, Alipay):
        provider.finish(order)
        return None
    if isinstance(provider, Acts) and action == "dispute":
        return provider.dispute(order, step=str(body.get("step", "open")), amount=body.get("amount"))
    if isinstance(provider, Acts) and action == "warn":
        return provider.warn(order)
    raise web.HTTPBadRequest(text=f"{order.provider} knows no {action}.")


def _provider(request: web.Request, world: World) -> Provider:
    provider = world.providers.get(request.match_info["provider"])
    if provider is None:
        raise web.HTTPNotFound(
            text=f"No provider {request.match_info['provider']}; there are {', '.join(world.providers)}."
        )
    return provider


def _order(request: web.Request, world: World) -> Order:
    provider, number = _provider(request, world), request.match_info["number"]
    order = world.store.order(provider.code, number)
    if order is None:
        raise web.HTTPNotFound(text=f"No order {number} at {provider.code}.")
    return order


def _json(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.json() if request.can_read_body else {}
            if not isinstance(body, dict):
                raise web.HTTPBadRequest(text="The body must be a JSON object.")
            return web.json_response(handler(request, request.app[WORLD], body))
        except NotPossible as reason:
            return web.json_response({"error": str(reason)}, status=409)
        except json.JSONDecodeError:
            return web.json_response({"error": "The body is not JSON."}, status=400)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        except web.HTTPError as error:
            return web.json_response({"error": error.text}, status=error.status)

    return handle
