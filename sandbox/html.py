"""The pages' frame and parts: plain HTML from the server, phone first, English with Chinese beside it."""

from html import escape

from aiohttp import web

STYLE = """
:root{--paper:#faf9f6;--card:#fff;--ink:#191c20;--soft:#5f6670;--line:#e7e3da;--brand:#0c6b4e;--brand-ink:#fff;
--held:#8a5a0b;--held-bg:#fdf3dc;--ok:#0c6b4e;--ok-bg:#e3f3ec;--bad:#b3261e;--bad-bg:#fbe9e7;
font:16px/1.5 ui-sans-serif,system-ui,"Segoe UI","PingFang SC","Noto Sans CJK SC",sans-serif;
color:var(--ink);background:var(--paper)}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1b1e23;--ink:#eceae5;--soft:#9aa1ab;--line:#2c3037;
--brand:#2fa37c;--brand-ink:#06130e;--held:#e2b04a;--held-bg:#33290f;--ok:#4cc59b;--ok-bg:#10291f;--bad:#ef8b83;
--bad-bg:#331513}}
*{box-sizing:border-box}body{margin:0}a{color:inherit}
.banner{background:var(--held-bg);color:var(--held);text-align:center;padding:10px 16px;font-weight:600;font-size:14px;
border-bottom:1px solid var(--line)}.banner span{white-space:nowrap}
header{display:flex;gap:10px;align-items:center;padding:14px 20px;border-bottom:1px solid var(--line);
background:var(--card)}header a{text-decoration:none;font-weight:600}
header .where{margin-left:auto;color:var(--soft);font-size:14px}
.mark{display:inline-grid;place-items:center;width:26px;height:26px;border-radius:6px;background:var(--ink);
color:var(--paper);font-size:15px}
main{max-width:480px;margin:0 auto;padding:20px 16px 40px}main.wide{max-width:860px}
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:28px 0 10px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px;margin:0 0 16px}
.big{font-size:38px;line-height:1.15;font-weight:600;letter-spacing:-.02em;margin:2px 0 14px;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}.soft{color:var(--soft)}.small{font-size:14px}
.row{display:flex;gap:12px;justify-content:space-between;padding:7px 0;border-top:1px solid var(--line);font-size:14px}
.row span:last-child{text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.tag{display:inline-block;font-size:12px;font-weight:600;border-radius:99px;padding:2px 10px;background:var(--line);
color:var(--ink)}.tag.paid{background:var(--ok-bg);color:var(--ok)}.tag.open{background:var(--held-bg);color:var(--held)}
.tag.failed{background:var(--bad-bg);color:var(--bad)}
.note{padding:10px 12px;border-radius:8px;background:var(--bad-bg);color:var(--bad);font-size:14px;margin:0 0 14px}
.note.good{background:var(--ok-bg);color:var(--ok)}
form{margin:0}.buttons{display:grid;gap:10px;margin-top:16px}.buttons.two{grid-template-columns:auto auto}
button,.btn{font:inherit;font-weight:600;min-height:44px;border:1px solid var(--line);background:var(--card);
color:var(--ink);border-radius:8px;padding:9px 16px;cursor:pointer;text-decoration:none;text-align:center;
display:block;width:100%}button.go,.btn.go{background:var(--brand);border-color:var(--brand);color:var(--brand-ink)}
button.small{padding:5px 12px;width:auto;font-size:14px}.buttons.two button{font-size:15px;padding:9px 6px}
.card>:first-child{margin-top:0}.card>:last-child{margin-bottom:0}.card>.order:first-child{border-top:0;padding-top:0}
.card>.row:first-child{border-top:0}select{font:inherit;font-size:14px;min-height:44px;max-width:100%;border-radius:8px;
border:1px solid var(--line);background:var(--paper);color:var(--ink);padding:5px 8px}
.acts{display:flex;gap:8px;flex-wrap:wrap;align-items:center}
button:focus-visible,a:focus-visible,input:focus-visible{outline:3px solid var(--held);outline-offset:2px}
label{display:block;font-size:14px;font-weight:600;margin:12px 0 4px}
input{font:inherit;width:100%;min-height:44px;border:1px solid var(--line);border-radius:8px;padding:8px 12px;
background:var(--paper);color:var(--ink);font-variant-numeric:tabular-nums}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:12px}
.order{display:flex;gap:12px;align-items:center;flex-wrap:wrap;padding:12px 0;border-top:1px solid var(--line)}
.order>div:first-child{flex:1 1 220px;min-width:0;overflow-wrap:anywhere}
code{background:var(--paper);border:1px solid var(--line);border-radius:5px;padding:1px 5px;font-size:13px;
overflow-wrap:anywhere}details{font-size:14px}summary{cursor:pointer;min-height:32px}ul{padding-left:20px;margin:8px 0}
"""
BANNER = "<span>Sandbox: no real money moves</span> · <span>沙盒：不会动用真实资金</span>"
SIGNS = {"USD": "$", "CNY": "¥"}
STATES = {"open": "open 待付款", "paid": "paid 已付款", "closed": "closed 已关闭", "failed": "failed 失败"}


def money(amount: int, currency: str) -> str:
    """`amount` in cents or fen."""
    sign = SIGNS.get(currency.upper(), f"{currency.upper()} ")
    return f"{sign}{amount // 100:,}.{amount % 100:02}"


def page(*, title: str, body: str, where: str = "", is_wide: bool = False, status: int = 200) -> web.Response:
    """`body` is HTML; everything else is text."""
    frame = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<div class="banner" role="note">{BANNER}</div>'
        '<header><span class="mark" aria-hidden="true">锤</span><a href="/">Sandbox</a>'
        f'<span class="where">{escape(where)}</span></header>'
        f"<main{' class=wide' if is_wide else ''}>{body}</main></body></html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=frame, status=status, content_type="text/html", charset="utf-8", headers=headers)


def tag(state: str) -> str:
    return f'<span class="tag {escape(state)}">{escape(STATES.get(state, state))}</span>'


def rows(values: dict[str, str]) -> str:
    """Name and value a line, values as text; empty ones are left out."""
    return "".join(
        f'<div class="row"><span class="soft">{escape(name)}</span><span>{escape(value)}</span></div>'
        for name, value in values.items()
        if value
    )


def button(action: str, text: str, *, is_main: bool = False, is_small: bool = False) -> str:
    kind = " ".join(name for name, wanted in (("go", is_main), ("small", is_small)) if wanted)
    return f'<button type="submit" name="action" value="{escape(action)}" class="{kind}">{escape(text)}</button>'


def note(text: str, *, is_good: bool = False) -> str:
    return f'<p class="note{" good" if is_good else ""}" role="status">{escape(text)}</p>' if text else ""
