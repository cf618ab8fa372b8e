"""The hosted page in setup mode: a card to keep, Save card, the bank says no, Close."""

from html import escape
from typing import Any

from aiohttp import web

from sandbox import html
from sandbox.stripe.payments import DECLINES, Card
from sandbox.stripe.saved import DECLINED_LATER, WANTS_ITS_HOLDER, Keeping
from sandbox.world import WORLD, NotPossible, World

CARDS = {
    "4242 4242 4242 4242": "Visa, pays 成功",
    DECLINED_LATER: "can be saved, declined when charged 可保存，扣款被拒",
    WANTS_ITS_HOLDER: "can be saved, wants its holder when charged 可保存，扣款时需本人验证",
    "4000 0000 0000 0259": "paid, then disputed 付款后拒付",
    "4000 0000 0000 0002": "declined 被拒",
}


def routes() -> list[web.RouteDef]:
    return [web.get("/stripe/save/{session}", show), web.post("/stripe/save/{session}", act)]


async def show(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    return _page(world, _session(request, world))


async def act(request: web.Request) -> web.Response:
    """Keep the card and go to success_url, or close and go to cancel_url."""
    world = request.app[WORLD]
    session, form = _session(request, world), await request.post()
    if form.get("action") == "close":
        raise web.HTTPSeeOther(str(session["cancel_url"] or world.config.site_url))
    if form.get("action") != "keep":
        raise web.HTTPBadRequest(text="action must be keep or close")
    card = Card("".join(str(form.get("card_number", "")).split()))
    if not card.is_valid or card.number in DECLINES:
        problem = DECLINES.get(card.number, ("", "Your card number is incorrect. 卡号不正确。"))[1]
        return _page(world, session, problem=problem, status=402)
    try:
        _provider(world).keep(session, card)
    except NotPossible as reason:
        return _page(world, session, problem=str(reason), status=409)
    raise web.HTTPSeeOther(str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"]))


def _provider(world: World) -> Keeping:
    provider = world.providers["stripe"]
    assert isinstance(provider, Keeping)  # noqa: S101
    return provider


def _session(request: web.Request, world: World) -> dict[str, Any]:
    session = world.store.objects.get(request.match_info["session"])
    if session is None or session["object"] != "checkout.session":
        raise web.HTTPNotFound(text="There is no such checkout session. 没有此会话。")
    return session


def _page(world: World, session: dict[str, Any], *, problem: str = "", status: int = 200) -> web.Response:
    merchant = world.config.merchant_name
    title = f"Save a card for {merchant}"
    body = html.note(problem)
    if session["status"] == "open":
        cards = "".join(f"<li><code>{number}</code> {escape(text)}</li>" for number, text in CARDS.items())
        end = (
            '<form method="post" autocomplete="off"><label for="card_number">Card number 卡号</label>'
            '<input id="card_number" name="card_number" inputmode="numeric" value="4242 4242 4242 4242">'
            f'<div class="buttons">{html.button("keep", "Save card 保存银行卡", is_main=True)}</div>'
            f'<div class="buttons">{html.button("close", "Close 关闭")}</div></form>'
            f'<details style="margin-top:16px"><summary>Test cards 测试卡</summary><ul>{cards}</ul></details>'
        )
    else:
        end = html.note("This session is over. 此会话已失效。")
    body += (
        f'<section class="card"><span class="soft small">Card 银行卡</span><h1>{escape(title)}</h1>'
        f'<p class="soft">Nothing is paid now. 现在不会扣款。</p>{end}</section>'
    )
    return html.page(title=title, body=body, where="Card checkout 银行卡收银台", status=status)
