"""How the desk looks: Unfold's settings."""

from typing import Any

from django.templatetags.static import static

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Chuizi",
    "SITE_HEADER": "Chuizi",
    "SITE_SYMBOL": "account_balance_wallet",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("favicon.svg")}],
    "STYLES": [lambda _request: static("css/desk.css")],
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "core.panels.dashboard",
    "SIDEBAR": {"show_search": False, "navigation": "desk.site.navigation"},
    "COLORS": {
        "primary": {
            "50": "#eef8f4",
            "100": "#d6eee4",
            "200": "#aeddca",
            "300": "#7cc5a8",
            "400": "#47a683",
            "500": "#1f8a66",
            "600": "#0c6b4e",
            "700": "#0a5840",
            "800": "#094634",
            "900": "#083a2c",
            "950": "#041f18",
        }
    },
}
