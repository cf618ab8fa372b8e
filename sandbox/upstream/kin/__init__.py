"""The paths of OpenAI's and its kin beside chat."""

from aiohttp import web

from sandbox.upstream.kin import completions, embeddings, images, moderations, rerank, speech, transcripts


def routes() -> list[web.RouteDef]:
    paths = (completions, embeddings, images, moderations, rerank, speech, transcripts)
    return [route for path in paths for route in path.routes()]
