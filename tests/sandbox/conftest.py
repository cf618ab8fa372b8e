"""The sandbox, a merchant who hears its notifications, and the three real SDKs pointed at it."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe
from alipay import AliPay
from alipay.utils import AliPayConfig
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.sandbox_server import SandboxServer

Notice = tuple[str, dict[str, str], bytes]
SHANGHAI = timezone(timedelta(hours=8))


class Merchant(ThreadingHTTPServer):
    """Keeps (path, headers, body) of each notification; answers what `answer` returns for it."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), MerchantHandler)
        self.heard: list[Notice] = []
        self.arrived = threading.Condition()
        self.answer: Callable[[Notice], tuple[int, bytes]] = lambda _: (200, b"success")
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait_for(self, count: int, *, matching: Callable[[Notice], bool] = lambda _: True) -> list[Notice]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len([n for n in self.heard if matching(n)]) >= count, 10), self.heard
            return [n for n in self.heard if matching(n)]


class MerchantHandler(BaseHTTPRequestHandler):
    server: Merchant

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        notice = (self.path, dict(self.headers.items()), body)
        status, text = self.server.answer(notice)
        with self.server.arrived:
            self.server.heard.append(notice)
            self.server.arrived.notify_all()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    server = SandboxServer(state=tmp_path_factory.mktemp("sandbox")).start()
    yield server
    server.stop()


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    server = Merchant()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def sandbox(sandbox_server: SandboxServer, merchant: Merchant) -> SandboxServer:
    sandbox_server.reset()
    sandbox_server.site_url = merchant.url
    return sandbox_server


def pem(sandbox: SandboxServer, name: str) -> str:
    return Path(sandbox.environment[name]).read_text()


@pytest.fixture
def stripe_client(sandbox: SandboxServer) -> stripe.StripeClient:
    known = sandbox.environment
    base: Any = {"api": known["STRIPE_API_BASE"]}
    return stripe.StripeClient(known["STRIPE_SECRET_KEY"], base_addresses=base, max_network_retries=0)


class ShanghaiAliPay(AliPay):
    def build_body(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return super().build_body(*args, **kwargs) | {"timestamp": f"{datetime.now(SHANGHAI):%Y-%m-%d %H:%M:%S}"}


@pytest.fixture
def alipay(sandbox: SandboxServer, merchant: Merchant) -> AliPay:
    client = ShanghaiAliPay(
        appid=sandbox.environment["ALIPAY_APP_ID"],
        app_notify_url=f"{merchant.url}/payments/alipay/notify",
        app_private_key_string=pem(sandbox, "ALIPAY_APP_PRIVATE_KEY"),
        alipay_public_key_string=pem(sandbox, "ALIPAY_PUBLIC_KEY"),
        config=AliPayConfig(timeout=5),
    )
    client._gateway = sandbox.environment["ALIPAY_GATEWAY"]
    return client


@pytest.fixture
def wechat(sandbox: SandboxServer, merchant: Merchant) -> WeChatPay:
    known = sandbox.environment
    client = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=known["WECHATPAY_MCHID"],
        private_key=pem(sandbox, "WECHATPAY_PRIVATE_KEY"),
        cert_serial_no=known["WECHATPAY_CERT_SERIAL"],
        apiv3_key=known["WECHATPAY_APIV3_KEY"],
        appid=known["WECHATPAY_APPID"],
        notify_url=f"{merchant.url}/payments/wechat/notify",
        public_key=pem(sandbox, "WECHATPAY_PUBLIC_KEY"),
        public_key_id=known["WECHATPAY_PUBLIC_KEY_ID"],
        timeout=(3, 5),
    )
    client._core._gate_way = known["WECHATPAY_API_BASE"]
    return client
