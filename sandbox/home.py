"""The home page: what this is, what is open, and what was sent."""

from html import escape

from aiohttp import web

from sandbox import html
from sandbox.store import Order
from sandbox.world import WORLD, NotPossible, World

TITLES = {"stripe": "Card (Stripe) 银行卡", "alipay": "Alipay 支付宝", "wechat": "WeChat Pay 微信支付"}
ACTIONS = ("pay", "fail", "close")
SHOWN = 50


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", show),
        web.post("/orders/{provider}/{number}", act),
        web.get("/healthz", _ok),
        web.get("/favicon.ico", _nothing),
    ]


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _nothing(_request: web.Request) -> web.Response:
    return web.Response(status=204)


async def show(request: web.Request) -> web.Response:
    return _page(request.app[WORLD])


async def act(request: web.Request) -> web.Response:
    """A button beside an order, then this page again."""
    world, action = request.app[WORLD], (await request.post()).get("action")
    order = world.store.order(request.match_info["provider"], request.match_info["number"])
    if order is None or action not in ACTIONS:
        raise web.HTTPNotFound(text="There is no such order, or no such action.")
    provider = world.providers[order.provider]
    try:
        if action == "pay":
            provider.pay(order)
        elif action == "fail":
            provider.fail(order)
        else:
            provider.close(order)
    except NotPossible as reason:
        return _page(world, problem=str(reason), status=409)
    raise web.HTTPSeeOther("/")


def _page(world: World, *, problem: str = "", status: int = 200) -> web.Response:
    config, merchant = world.config, world.config.merchant_name
    site = f'<a href="{escape(config.site_url)}">{escape(config.site_url)}</a>'
    intro = (
        f'<section class="card"><h1>What is this? 这是什么？</h1>'
        "<p>Local stand-ins for Stripe, Alipay, WeChat Pay and a language model. They speak the real protocols "
        f"with keys made on this machine, so {escape(merchant)} at {site} "
        "works as it would with the real ones. No real money moves.</p>"
        '<p class="soft">这里是 Stripe、支付宝、微信支付和一个语言模型的本地替身，'
        "使用真实协议和本机生成的密钥。不会动用真实资金。</p></section>"
    )
    parts = [html.note(problem), intro]
    for provider, title in TITLES.items():
        orders = world.store.open_orders(provider)
        body = "".join(_open(order) for order in reversed(orders[-SHOWN:]))
        body = body or '<p class="soft">No open orders. Start a top-up and it appears here. 没有待付款订单。</p>'
        parts.append(
            f'<h2>{escape(title)} <span class="soft">({len(orders)})</span></h2><section class="card">{body}</section>'
        )
    parts.append(f'<h2>Notifications 通知</h2><section class="card">{_notifications(world)}</section>')
    parts.append(
        '<h2>For developers 开发者</h2><section class="card small"><p>The control API pays, fails, closes, refunds and '
        'disputes orders and arms faults: <a href="/control">/control</a>, <a href="/control/orders">orders</a>, '
        '<a href="/control/notifications">notifications</a>, <a href="/control/faults">faults</a>, '
        '<a href="/control/upstream">calls to the model</a>.</p>'
        f"<p>Addresses: <code>{config.base_url}/stripe</code> <code>{config.base_url}/alipay/gateway.do</code> "
        f"<code>{config.base_url}/wechat</code> <code>{config.base_url}/upstream/v1</code></p></section>"
    )
    return html.page(title="Sandbox", body="".join(parts), is_wide=True, status=status)


def _open(order: Order) -> str:
    name = order.alias or order.number
    return (
        f'<div class="order"><div><b>{html.money(order.amount, order.currency)}</b> {escape(order.description)}<br>'
        f'<a class="soft small" href="/{order.provider}/pay/{escape(order.token)}">{escape(name[:40])}</a></div>'
        f'<form method="post" action="/orders/{order.provider}/{escape(order.number)}"><div class="acts">'
        f"{html.button('pay', 'Pay 付款', is_main=True, is_small=True)}"
        f"{html.button('fail', 'Fail 失败', is_small=True)}"
        f"{html.button('close', 'Close 关闭', is_small=True)}</div></form></div>"
    )


def _notifications(world: World) -> str:
    latest = list(world.delivery.log)[-10:]
    lines = {
        f"{sent.id}. {sent.provider} {sent.event} · {''.join(sent.orders[:1])[:24]}": (
            f"{sent.state}, {len(sent.tries)} ×"
        )
        for sent in reversed(latest)
    }
    return html.rows(lines) or '<p class="soft">None were sent yet. 尚未发送通知。</p>'
