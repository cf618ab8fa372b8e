"""`POST /v1/moderations`: whoever says "violence" is flagged for it."""

from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin.asking import Body, whole

CATEGORIES = ("harassment", "hate", "sexual", "violence")


def routes() -> list[web.RouteDef]:
    return [web.post("/upstream/v1/moderations", whole(think))]


def think(body: Body) -> Body:
    said = body.get("input")
    if not said or not isinstance(said, str | list):
        raise Refused("'$.input' is invalid.", param="input")
    inputs = [said] if isinstance(said, str) else said
    return {
        "id": f"modr-{crypto.letters(24)}",
        "model": body["model"],
        "results": [_judged(str(one)) for one in inputs],
    }


def _judged(said: str) -> dict[str, Any]:
    found = {name: name in said.lower() for name in CATEGORIES}
    scores = {name: 0.9 if is_found else 0.01 for name, is_found in found.items()}
    return {"flagged": any(found.values()), "categories": found, "category_scores": scores}
