"""The paths of OpenAI's and its kin beside chat."""

from aiohttp import web

from sandbox.upstream.kin import completions, embeddings, images, moderations, rerank, speech


def routes() -> list[web.RouteDef]:
    return [route for path in (completions, embeddings, images, moderations, rerank, speech) for route in path.routes()]
