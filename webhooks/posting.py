"""One POST to somebody else's machine: ten seconds in all, to an address that was looked at, no redirects, a short
answer.
"""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from time import monotonic

import aiohttp

from core.outside.resolving import AddressRefused, CheckedResolver
from core.records import value
from webhooks import places
from webhooks.models import Attempt

SECONDS = 10.0
MOST_READ = 64 * 1024
MOST_SHOWN = 1024
PIECE = 8192
Problem = Attempt.Problem


@value
class Answer:
    """What came back. 2xx is delivered, whatever its body; a redirect is not followed, and no delivery."""

    status: int | None
    problem: str
    text: str
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def post(url: str, *, body: str, headers: Mapping[str, str]) -> Answer:
    """Never raises: what went wrong stands in the answer."""
    began, status, problem, read = monotonic(), None, "", bytearray()
    try:
        place = places.parsed(url)
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=CheckedResolver(places.is_allowed), use_dns_cache=False, force_close=True, ssl=_trust()
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                skip_auto_headers=("Accept-Encoding",),
            ) as session,
            session.post(place, data=body.encode(), headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
            async for piece in response.content.iter_chunked(PIECE):
                read += piece
                if len(read) >= MOST_READ:
                    break
    except places.PlaceRefused:
        problem = Problem.ADDRESS
    except TimeoutError:
        problem = Problem.TIMEOUT
    except aiohttp.ClientConnectorDNSError as error:
        problem = Problem.ADDRESS if isinstance(error.os_error, AddressRefused) else Problem.NAME
    except (aiohttp.ClientSSLError, ssl.SSLError):
        problem = Problem.TLS
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, OSError):
        problem = Problem.CONNECTION
    except (aiohttp.ClientError, ValueError):
        problem = Problem.ANSWER
    if status is not None:
        problem = ""  # its body may have broken off, or gone on for ever
    return Answer(status, problem, _shown(read), int((monotonic() - began) * 1000))


def _shown(read: bytes | bytearray) -> str:
    """The beginning of an answer as text that PostgreSQL keeps; what is no UTF-8 shows as a mark."""
    return bytes(read[:MOST_SHOWN]).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, read once."""
    return ssl.create_default_context()
