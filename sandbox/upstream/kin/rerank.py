"""`POST /v1/rerank`, `/v2/rerank`: documents by how many words they share with the query, in Cohere's and Jina's shape.

One search is a query with up to a hundred documents; one beyond 500 tokens, the query's included, counts for several.
"""

from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.upstream import faults, text
from sandbox.upstream.chat import Refused
from sandbox.upstream.kin.asking import Body, asked, sent

CHUNK_TOKENS, DOCUMENTS = 500, 100


def routes() -> list[web.RouteDef]:
    return [web.post(f"/upstream/{version}/rerank", asked(answering)) for version in ("v1", "v2")]


async def answering(request: web.Request, body: Body, fault: str) -> web.StreamResponse:
    query, documents = body.get("query"), body.get("documents")
    if not isinstance(query, str) or not isinstance(documents, list) or not documents:
        raise Refused("invalid request: query and documents are needed")
    texts = [_text_of(one) for one in documents]
    scores = [_score(query, one) for one in texts]
    order = sorted(range(len(texts)), key=lambda at: -scores[at])[: body.get("top_n") or len(texts)]
    results: list[dict[str, Any]] = [{"index": at, "relevance_score": scores[at]} for at in order]
    if body.get("return_documents"):
        results = [{**one, "document": {"text": texts[one["index"]]}} for one in results]
    asked_for = len(text.tokens(query))
    lengths = [len(text.tokens(one)) for one in texts]
    room = max(CHUNK_TOKENS - asked_for, CHUNK_TOKENS // 2)
    chunks = sum(max(1, -(-length // room)) for length in lengths)
    total = sum(lengths) + asked_for * len(texts)
    counts = faults.bent_usage(
        fault, {"prompt_tokens": total, "total_tokens": total, "search_units": -(-chunks // DOCUMENTS)}
    )
    answer: Body = {"id": crypto.letters(24), "model": body["model"], "results": results}
    if counts is not None:
        units = {"huge-usage": counts["total_tokens"], "zero-usage": 0}.get(fault, counts["search_units"])
        answer["meta"] = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
        answer["usage"] = {"prompt_tokens": counts["prompt_tokens"], "total_tokens": counts["total_tokens"]}
    return await sent(request, answer, fault)


def _text_of(document: Any) -> str:
    if isinstance(document, dict):
        return str(document.get("text", ""))
    return str(document)


def _score(query: str, document: str) -> float:
    words = set(query.lower().split())
    return round(len(words & set(document.lower().split())) / max(1, len(words)), 4)
