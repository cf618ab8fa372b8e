"""The sandbox in a thread, for any test that needs a provider or a model on the wire.

    server = SandboxServer(state=tmp_path, site_url="http://127.0.0.1:8000").start()
    server.environment                      # the variables Chuizi needs to talk to it
    server.pay("alipay", topup_number)      # as the payer would; also fail, close
    server.fault("drop_notification", provider="wechat")
    server.control("GET", "/orders")        # the whole control API, see sandbox/control.py and sandbox/faults.py
    server.stop()

`state` may hold keys already (another sandbox's, or those of a running Chuizi); missing ones are made.
"""

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from chuizi.local import environment, sandbox_keys
from sandbox.config import Config
from sandbox.server import BACKLOG, serve
from sandbox.world import WORLD, World

QUICK_RETRIES = (0.2, 0.3, 0.5, 1.0)


class ControlError(Exception):
    """The control API refused; `status` is its answer's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class SandboxServer:
    """Listens on a free port of 127.0.0.1. Notifications are tried again after fractions of a second."""

    def __init__(
        self,
        *,
        state: Path,
        site_url: str = "http://127.0.0.1:1",
        pace: float = 0.001,
        refund_seconds: float = 0.1,
        retry_after: tuple[float, ...] = QUICK_RETRIES,
    ) -> None:
        sandbox_keys.ensure(state)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self.config = Config.read(port=self.port, state=state, site_url=site_url, environment={})
        self.config.pace = pace
        self.config.refund_seconds = refund_seconds
        self.config.retry_after = retry_after
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        self._started.wait(20)
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def upstream_url(self) -> str:
        """The `base_url` of a catalog's upstream; any key but `sk-bad` does."""
        return f"{self.url}/upstream/v1"

    @property
    def site_url(self) -> str:
        return self.config.site_url

    @site_url.setter
    def site_url(self, url: str) -> None:
        """Where Stripe's webhooks go from now on; the others go where each order says."""
        self.config.site_url = url.rstrip("/")

    @property
    def environment(self) -> dict[str, str]:
        """`STRIPE_*`, `ALIPAY_*`, `WECHATPAY_*` and `SANDBOX_URL`; PEM variables are paths."""
        values = environment.sandbox_values(state=self.config.state, port=8000, sandbox_port=self.port)
        wanted = ("STRIPE_", "ALIPAY_", "WECHATPAY_", "SANDBOX_")
        return {name: value for name, value in values.items() if name.startswith(wanted)}

    @property
    def world(self) -> World:
        """The inside; only for reading, it lives in another thread."""
        return self._world

    def control(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One call to the control API, `path` without `/control`. Raise `ControlError`."""
        request = urllib.request.Request(f"{self.url}/control{path}", method=method)
        if body:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                content: dict[str, Any] = json.loads(answer.read())
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(error.code, json.loads(error.read())["error"]) from error

    def pay(self, provider: str, number: str, **options: Any) -> dict[str, Any]:
        """As the payer. `number` is the merchant's (or a Stripe session's id); `late=True` pays a closed order."""
        return self.control("POST", f"/orders/{provider}/{number}/pay", **options)

    def fail(self, provider: str, number: str, **options: Any) -> dict[str, Any]:
        return self.control("POST", f"/orders/{provider}/{number}/fail", **options)

    def close(self, provider: str, number: str) -> dict[str, Any]:
        return self.control("POST", f"/orders/{provider}/{number}/close")

    def order(self, provider: str, number: str) -> dict[str, Any]:
        return self.control("GET", f"/orders/{provider}/{number}")

    def fault(self, name: str, **options: Any) -> dict[str, Any]:
        """Arm one: `provider`, `order`, `event`, `times` (0: until cleared), and the fault's own options."""
        return self.control("POST", "/faults", name=name, **options)

    def clear_faults(self) -> None:
        self.control("DELETE", "/faults")

    def reset(self) -> None:
        self.control("POST", "/reset")

    def notifications(self, *, order: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("GET", f"/notifications?order={order}")["notifications"]
        return found

    def wait_until_delivered(self, *, order: str, event: str = "", seconds: float = 10) -> dict[str, Any]:
        """The first notification about this order that was accepted. Raise `TimeoutError`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for sent in self.notifications(order=order):
                if sent["state"] == "delivered" and sent["event"].startswith(event):
                    return sent
            time.sleep(0.02)
        raise TimeoutError(f"not delivered: {self.notifications(order=order)}")

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        try:
            runner = await serve(self.config, listener=self._listener)
            self._world = runner.app[WORLD]
        except BaseException as error:
            self._failure = error
            self._listener.close()
            return
        finally:
            self._started.set()
        await self._stopped.wait()
        await runner.cleanup()
