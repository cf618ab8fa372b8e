"""What a payer sees after scanning a QR code of Alipay or WeChat Pay."""

from datetime import datetime
from html import escape

from aiohttp import web

from sandbox import html
from sandbox.store import Order
from sandbox.world import SHANGHAI, WORLD, NotPossible, World

NAMES = {"alipay": "Alipay 支付宝", "wechat": "WeChat Pay 微信支付"}
ACTIONS = ("pay", "fail", "close")


def routes(provider: str) -> list[web.RouteDef]:
    path = f"/{provider}/pay/{{token}}"
    return [web.get(path, show), web.post(path, act)]


async def show(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    order = _order(request, world)
    if order.state == "open" and not order.is_scanned:
        order.is_scanned = True
        world.store.save_order(order)
    return _page(world, order)


async def act(request: web.Request) -> web.Response:
    """Pay, fail or close, then show the order again."""
    world = request.app[WORLD]
    order = _order(request, world)
    action = (await request.post()).get("action")
    if action not in ACTIONS:
        raise web.HTTPBadRequest(text="action must be pay, fail or close")
    provider = world.providers[order.provider]
    try:
        if action == "pay":
            provider.pay(order)
        elif action == "fail":
            provider.fail(order)
        else:
            provider.close(order)
    except NotPossible as reason:
        return _page(world, order, problem=str(reason), status=409)
    raise web.HTTPSeeOther(request.path)


def _order(request: web.Request, world: World) -> Order:
    order = world.store.order_of_token(request.match_info["token"])
    if order is None or not request.path.startswith(f"/{order.provider}/"):
        raise web.HTTPNotFound(text="There is no order behind this code. 此二维码没有对应的订单。")
    return order


def _page(world: World, order: Order, *, problem: str = "", status: int = 200) -> web.Response:
    name, amount = NAMES[order.provider], html.money(order.amount, order.currency)
    merchant = world.config.merchant_name
    is_over = order.state == "open" and world.now() >= order.expires
    back = (
        f'<a class="btn" href="{escape(world.config.site_url)}/console/topup">Back to {escape(merchant)} 返回商户</a>'
    )
    if order.state == "paid":
        title = f"Paid {amount} to {merchant}"
        body = html.note("Paid. You can close this page. 付款成功，可以关闭此页面。", is_good=True)
        end = f'<div class="buttons">{back}</div>'
    elif order.state == "open" and not is_over:
        title = f"Pay {amount} to {merchant}"
        body = html.note(problem or order.note)
        end = (
            '<form method="post"><div class="buttons">'
            f"{html.button('pay', f'Pay {amount} 付款', is_main=True)}</div>"
            f'<div class="buttons two">{html.button("fail", "Fail 付款失败")}{html.button("close", "Close 关闭订单")}'
            "</div></form>"
        )
    else:
        title = f"{amount} to {merchant}: {'expired' if is_over else order.state}"
        body = html.note(problem or "This order can no longer be paid. 此订单已不能付款。")
        end = f'<div class="buttons">{back}</div>'
    expires = datetime.fromtimestamp(order.expires, SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    values = {"For 商品": order.description, "Order 订单号": order.number, "Pay before 付款截止": f"{expires} UTC+8"}
    if order.transaction:
        values["Transaction 交易号"] = order.transaction
    body += (
        f'<section class="card"><span class="soft small">{name}</span><h1>{escape(title)}</h1>'
        f'<div class="big">{amount}</div>{html.tag(order.state)}<div style="margin-top:12px">{html.rows(values)}</div>'
        f"{end}</section>"
    )
    return html.page(title=title, body=body, where=name, status=status)
