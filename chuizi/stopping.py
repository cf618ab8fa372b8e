"""SIGTERM in order: `/readyz` says 503, some seconds later no new requests are taken, then what runs may end.

A balancer needs those seconds to look elsewhere; uvicorn alone would close its port at once.
"""

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

from django.conf import settings

from proxy.gateway.app import Gateway


def stop_in_order(gateway: Gateway) -> None:
    """Put the gateway's leave before uvicorn's own handling of SIGTERM; a second SIGTERM does not wait."""
    if threading.current_thread() is not threading.main_thread():
        return  # signals are somebody else's
    server: Any = signal.getsignal(signal.SIGTERM)
    if not callable(server):
        return
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: FrameType | None) -> None:
        gateway.drain()
        server(number, frame)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if gateway.leaving:
            loop.call_soon_threadsafe(stop, number, frame)
            return
        gateway.leaving = True
        loop.call_soon_threadsafe(loop.call_later, settings.STOP_NOTICE_SECONDS, stop, number, frame)

    signal.signal(signal.SIGTERM, on_signal)
