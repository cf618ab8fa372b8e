"""The hosted checkout page: a card, Pay, Decline card, Close."""

from html import escape

from aiohttp import web

from sandbox import html
from sandbox.store import Order
from sandbox.stripe.acts import Acts
from sandbox.stripe.payments import DECLINES, Card
from sandbox.world import WORLD, NotPossible, World

CARDS = {
    "4242 4242 4242 4242": "Visa, pays 成功",
    "5555 5555 5555 4444": "Mastercard, pays 成功",
    "3782 822463 10005": "American Express, pays 成功",
    "4000 0000 0000 0002": "declined 被拒",
    "4000 0000 0000 9995": "insufficient funds 余额不足",
    "4000 0000 0000 0259": "paid, then disputed 付款后拒付",
    "4000 0000 0000 5126": "paid; a refund of it fails later 退款失败",
}


def routes() -> list[web.RouteDef]:
    return [web.get("/stripe/pay/{token}", show), web.post("/stripe/pay/{token}", act)]


async def show(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    return _page(world, _order(request, world))


async def act(request: web.Request) -> web.Response:
    """Pay and go to success_url, decline and stay, or close and go to cancel_url."""
    world = request.app[WORLD]
    order, form = _order(request, world), await request.post()
    provider = world.providers["stripe"]
    assert isinstance(provider, Acts)  # noqa: S101
    action = form.get("action")
    try:
        if action == "close":
            provider.close(order)
            raise web.HTTPSeeOther(str(order.request.get("cancel_url") or world.config.site_url))
        if action == "decline":
            provider.fail(order)
            return _page(world, order, status=402)
        if action != "pay":
            raise web.HTTPBadRequest(text="action must be pay, decline or close")
        card = Card("".join(str(form.get("card_number", "")).split()))
        if not card.is_valid:
            return _page(world, order, problem="Your card number is incorrect. 卡号不正确。", status=402)
        if card.number in DECLINES:
            code, message = DECLINES[card.number]
            provider.decline(order, card=card, code=code, message=message)
            return _page(world, order, status=402)
        provider.pay(order, card=card)
    except NotPossible as reason:
        return _page(world, order, problem=str(reason), status=409)
    raise web.HTTPSeeOther(success_url(order))


def success_url(order: Order) -> str:
    return str(order.request["success_url"]).replace("{CHECKOUT_SESSION_ID}", order.number)


def _order(request: web.Request, world: World) -> Order:
    order = world.store.order_of_token(request.match_info["token"])
    if order is None or order.provider != "stripe":
        raise web.HTTPNotFound(text="There is no such checkout session. 没有此会话。")
    return order


def _page(world: World, order: Order, *, problem: str = "", status: int = 200) -> web.Response:
    amount, merchant = html.money(order.amount, order.currency), world.config.merchant_name
    if order.state == "open" and world.now() < order.expires:
        title, end = f"Pay {amount} to {merchant}", _form(order, amount)
        body = html.note(problem or order.note)
    else:
        is_paid = order.state == "paid"
        title = f"Paid {amount} to {merchant}" if is_paid else f"{amount} to {merchant}: {order.state}"
        body = (
            html.note("Paid. 付款成功。", is_good=True)
            if is_paid
            else html.note(problem or "This session is over. 此会话已失效。")
        )
        target = success_url(order) if is_paid else str(order.request.get("cancel_url") or world.config.site_url)
        end = (
            f'<div class="buttons"><a class="btn" href="{escape(target)}">Back to {escape(merchant)} 返回商户</a></div>'
        )
    rows = html.rows({"For 商品": order.description, "Order 订单号": order.alias or order.number[:24]})
    body += (
        f'<section class="card"><span class="soft small">Card 银行卡</span><h1>{escape(title)}</h1>'
        f'<div class="big">{amount}</div>{html.tag(order.state)}'
        f'<div style="margin-top:12px">{rows}</div>{end}</section>'
    )
    return html.page(title=title, body=body, where="Card checkout 银行卡收银台", status=status)


def _form(order: Order, amount: str) -> str:
    cards = "".join(f"<li><code>{number}</code> {escape(text)}</li>" for number, text in CARDS.items())
    cancel = str(order.request.get("cancel_url") or "")
    back = (
        f'<div class="buttons"><a class="btn" href="{escape(cancel)}">Back without paying 返回不付款</a></div>'
        if cancel
        else ""
    )
    return (
        '<form method="post" autocomplete="off">'
        '<label for="card_number">Card number 卡号</label>'
        '<input id="card_number" name="card_number" inputmode="numeric" value="4242 4242 4242 4242">'
        '<div class="pair"><div><label for="expiry">Expiry 有效期</label>'
        '<input id="expiry" name="expiry" value="12 / 34"></div><div><label for="cvc">CVC 安全码</label>'
        '<input id="cvc" name="cvc" inputmode="numeric" value="123"></div></div>'
        f'<div class="buttons">{html.button("pay", f"Pay {amount} 付款", is_main=True)}</div>'
        f'<div class="buttons two">{html.button("decline", "Decline card 拒绝")}'
        f"{html.button('close', 'Close 关闭')}</div>"
        f'</form>{back}<details style="margin-top:16px"><summary>Test cards 测试卡</summary><ul>{cards}</ul></details>'
    )
