"""The home page: what this is, what is open, what was paid, what was sent, and how it may misbehave."""

from html import escape

from aiohttp import web

from sandbox import faults, html
from sandbox.store import Order
from sandbox.stripe.acts import Acts
from sandbox.world import WORLD, NotPossible, World

TITLES = {"stripe": "Card (Stripe) 银行卡", "alipay": "Alipay 支付宝", "wechat": "WeChat Pay 微信支付"}
SHOWN = 50
LATEST = 10
DISPUTES = {"open": "Dispute 争议", "withdraw": "Withdraw 扣款", "win": "Win 胜诉", "lose": "Lose 败诉"}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", show),
        web.post("/orders/{provider}/{number}", act),
        web.post("/faults", arm),
        web.get("/healthz", _ok),
        web.get("/favicon.ico", _nothing),
    ]


async def show(request: web.Request) -> web.Response:
    return _page(request.app[WORLD])


async def act(request: web.Request) -> web.Response:
    """A button beside an order, then this page again."""
    world, action = request.app[WORLD], str((await request.post()).get("action"))
    order = world.store.order(request.match_info["provider"], request.match_info["number"])
    if order is None:
        raise web.HTTPNotFound(text="There is no such order.")
    try:
        _do(world, order, action)
    except NotPossible as reason:
        return _page(world, problem=str(reason), status=409)
    raise web.HTTPSeeOther("/")


async def arm(request: web.Request) -> web.Response:
    """Arm one fault for the next time, or clear all."""
    world, form = request.app[WORLD], await request.post()
    if form.get("action") == "clear":
        world.faults.clear()
        raise web.HTTPSeeOther("/")
    try:
        world.faults.arm(str(form.get("fault")), provider=str(form.get("provider", "")))
    except faults.UnknownFault as error:
        raise web.HTTPBadRequest(text=f"There is no fault {error}.") from error
    raise web.HTTPSeeOther("/")


def _do(world: World, order: Order, action: str) -> None:
    """Raise `NotPossible`."""
    provider = world.providers[order.provider]
    if action == "pay":
        provider.pay(order)
    elif action == "pay_late":
        provider.pay(order, late=True)
    elif action == "fail":
        provider.fail(order)
    elif action == "close":
        provider.close(order)
    elif action == "refund":
        provider.refund(order, amount=order.amount)
    elif action in DISPUTES and isinstance(provider, Acts):
        provider.dispute(order, step=action)
    else:
        raise NotPossible(f"There is no action {action}.")


def _page(world: World, *, problem: str = "", status: int = 200) -> web.Response:
    parts = [html.note(problem), _intro(world)]
    for provider, title in TITLES.items():
        orders = world.store.open_orders(provider)
        body = "".join(_order(order) for order in reversed(orders[-SHOWN:]))
        body = body or '<p class="soft">No open orders. Start a top-up and it appears here. 没有待付款订单。</p>'
        parts.append(_section(f"{title} ({len(orders)})", body))
    over = [order for order in world.store.orders if order.state != "open"][-LATEST:]
    if over:
        parts.append(_section("Latest 最近的订单", "".join(_order(order) for order in reversed(over))))
    parts.append(_section("Notifications 通知", _notifications(world)))
    parts.append(_section("Misbehave 制造故障", _faults(world)))
    parts.append(_section("For developers 开发者", _addresses(world)))
    return html.page(title="Sandbox", body="".join(parts), is_wide=True, status=status)


def _intro(world: World) -> str:
    site, merchant = escape(world.config.site_url), escape(world.config.merchant_name)
    return (
        '<section class="card"><h1>What is this? 这是什么？</h1>'
        "<p>Local stand-ins for Stripe, Alipay, WeChat Pay and a language model. They speak the real protocols "
        f'with keys made on this machine, so {merchant} at <a href="{site}">{site}</a> works as it would with the real '
        "ones. No real money moves.</p>"
        '<p class="soft">这里是 Stripe、支付宝、微信支付和一个语言模型的本地替身，'
        "使用真实协议和本机生成的密钥。不会动用真实资金。</p></section>"
    )


def _section(title: str, body: str) -> str:
    return f'<h2>{escape(title)}</h2><section class="card">{body}</section>'


def _order(order: Order) -> str:
    if order.state == "open":
        buttons = {"pay": "Pay 付款", "fail": "Fail 失败", "close": "Close 关闭"}
    elif order.state == "paid":
        buttons = {"refund": "Refund 退款", **(DISPUTES if order.provider == "stripe" else {})}
    else:
        buttons = {"pay_late": "Pay late 迟付"}
    shown = "".join(html.button(name, text, is_main=name == "pay", is_small=True) for name, text in buttons.items())
    state = "" if order.state == "open" else f" {html.tag(order.state)}"
    return (
        f'<div class="order"><div><b>{html.money(order.amount, order.currency)}</b>{state} '
        f"{escape(order.description)}<br>"
        f'<a class="soft small" href="/{order.provider}/pay/{escape(order.token)}">'
        f"{escape((order.alias or order.number)[:40])}</a></div>"
        f'<form method="post" action="/orders/{order.provider}/{escape(order.number)}">'
        f'<div class="acts">{shown}</div></form></div>'
    )


def _notifications(world: World) -> str:
    latest = list(world.delivery.log)[-LATEST:]
    lines = {}
    for sent in reversed(latest):
        answer = next((str(one.get("status", "no answer")) for one in reversed(sent.tries)), "not sent")
        name = f"{sent.id}. {sent.provider} {sent.event} {''.join(sent.orders[:1])[:24]}"
        lines[name] = f"{sent.state}: {answer}, {len(sent.tries)} ×"
    return html.rows(lines) or '<p class="soft">None were sent yet. 尚未发送通知。</p>'


def _faults(world: World) -> str:
    armed = "".join(
        f"<li><code>{escape(fault.name)}</code> {escape(fault.provider)} {escape(fault.order)}</li>"
        for fault in world.faults
    )
    options = "".join(
        f'<option value="{name}">{escape(name)}: {escape(text)}</option>' for name, text in faults.KNOWN.items()
    )
    providers = "".join(f'<option value="{code}">{escape(title)}</option>' for code, title in TITLES.items())
    return (
        '<form method="post" action="/faults"><div class="acts">'
        f'<select name="fault" aria-label="Fault 故障">{options}</select>'
        f'<select name="provider" aria-label="Provider 渠道"><option value="">any 任意</option>{providers}</select>'
        f"{html.button('arm', 'Once 一次', is_small=True)}"
        f"{html.button('clear', 'Clear all 清除', is_small=True)}</div></form>"
        + (f'<ul class="small">{armed}</ul>' if armed else '<p class="soft small">Nothing is armed. 没有故障。</p>')
    )


def _addresses(world: World) -> str:
    base = world.config.base_url
    paths = ("/stripe", "/alipay/gateway.do", "/wechat", "/upstream/v1")
    codes = " ".join(f"<code>{base}{path}</code>" for path in paths)
    links = {
        "/control": "/control",
        "/control/orders": "orders",
        "/control/notifications": "notifications",
        "/control/faults": "faults",
        "/control/upstream": "calls to the model",
    }
    shown = ", ".join(f'<a href="{path}">{text}</a>' for path, text in links.items())
    return f'<p class="small">The control API does all this and more in JSON: {shown}.</p><p class="small">{codes}</p>'


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(status=204)
