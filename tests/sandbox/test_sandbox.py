"""The sandbox as a whole: its keys, its pages, its control API, its memory, its process."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from chuizi.local import sandbox_keys
from sandbox.config import Config, SandboxMisconfigured
from sandbox.store import Order, Store
from tests.sandbox.conftest import Merchant
from tests.sandbox_server import ControlError, SandboxServer


def opened(url: str, **form: str) -> str:
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def order(alipay) -> dict:
    return alipay.api_alipay_trade_precreate(subject="<b>Credit</b>", out_trade_no="o1", total_amount="142.00")


def test_the_home_page_lists_open_orders_with_buttons_that_work(sandbox, order):
    page = opened(sandbox.url)
    assert "no real money moves" in page
    assert "¥142.00" in page
    assert "&lt;b&gt;Credit" in page
    assert "<b>Credit" not in page
    opened(f"{sandbox.url}/orders/alipay/o1", action="fail")
    assert sandbox.order("alipay", "o1")["state"] == "open"
    page = opened(f"{sandbox.url}/orders/alipay/o1", action="pay")
    assert sandbox.order("alipay", "o1")["state"] == "paid"
    assert "paid 已付款" in page
    assert "Pay 付款" not in page


def test_the_home_page_refunds_disputes_and_arms_faults(sandbox, order, stripe_client, merchant):
    assert "drop_notification" in opened(f"{sandbox.url}/faults", action="arm", fault="drop_notification")
    [fault] = sandbox.control("GET", "/faults")["faults"]
    assert (fault["name"], fault["times"]) == ("drop_notification", 1)
    assert "Nothing is armed" in opened(f"{sandbox.url}/faults", action="clear")
    sandbox.pay("alipay", "o1")
    assert "Refund" in opened(sandbox.url)
    opened(f"{sandbox.url}/orders/alipay/o1", action="refund")
    assert [refund["amount"] for refund in sandbox.control("GET", "/refunds")["refunds"]] == [14200]
    price = {"currency": "usd", "unit_amount": 2000, "product_data": {"name": "Credit"}}
    stripe_client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "client_reference_id": "s1",
            "success_url": "http://127.0.0.1:1/",
        }
    )
    sandbox.pay("stripe", "s1")
    opened(f"{sandbox.url}/orders/stripe/s1", action="open")
    merchant.wait_for(1, matching=lambda notice: b"charge.dispute.created" in notice[2])


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_presses_no_button(sandbox, order, headers):
    request = urllib.request.Request(order["qr_code"], data=b"action=pay", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    caught.value.close()
    assert caught.value.code == 403
    assert sandbox.order("alipay", "o1")["state"] == "open"


def test_a_failed_payment_may_be_tried_again_on_its_page(sandbox, order):
    page = opened(order["qr_code"], action="fail")
    assert "you may try again" in page
    assert "Paid ¥142.00" in opened(order["qr_code"], action="pay")


def test_a_closed_order_offers_no_button(sandbox, order):
    page = opened(order["qr_code"], action="close")
    assert "can no longer be paid" in page
    assert "<button" not in page
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(order["qr_code"], action="pay")
    assert caught.value.code == 409
    caught.value.close()


def test_pages_carry_no_script_and_a_policy_against_it(sandbox, order):
    with urllib.request.urlopen(order["qr_code"], timeout=5) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "<script" not in answer.read().decode()


@pytest.mark.parametrize("path", ["/alipay/pay/none", "/wechat/pay/none", "/stripe/pay/none", "/nothing"])
def test_an_unknown_page_is_404(sandbox, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(sandbox.url + path)
    assert caught.value.code == 404
    caught.value.close()


def test_an_order_of_one_provider_is_not_found_at_another(sandbox, order):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(order["qr_code"].replace("/alipay/", "/wechat/"))
    assert caught.value.code == 404
    caught.value.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/orders/alipay/none/pay", {}, 404),
        ("POST", "/orders/paypal/o1/pay", {}, 404),
        ("POST", "/orders/alipay/o1/fly", {}, 400),
        ("POST", "/orders/alipay/o1/finish", {}, 409),
        ("POST", "/orders/alipay/o1/refund", {"amount": 1}, 409),
        ("POST", "/faults", {"name": "unheard-of"}, 400),
        ("POST", "/faults", {"provider": "alipay"}, 400),
        ("POST", "/settings", {"colour": "red"}, 400),
        ("POST", "/notifications/999999/resend", {}, 404),
        ("POST", "/refunds/alipay/none/done", {}, 409),
    ],
)
def test_the_control_api_says_what_it_does_not_do(sandbox, order, method, path, body, status):
    with pytest.raises(ControlError) as caught:
        sandbox.control(method, path, **body)
    assert caught.value.status == status


def test_faults_are_listed_used_up_and_cleared(sandbox, order):
    sandbox.fault("provider_down", provider="alipay", times=0)
    sandbox.fault("drop_notification", order="o1")
    assert [fault["name"] for fault in sandbox.control("GET", "/faults")["faults"]] == [
        "provider_down",
        "drop_notification",
    ]
    sandbox.pay("alipay", "o1")
    assert sandbox.notifications(order="o1")[0]["state"] == "dropped"
    assert [fault["name"] for fault in sandbox.control("GET", "/faults")["faults"]] == ["provider_down"]
    sandbox.clear_faults()
    assert sandbox.control("GET", "/faults")["faults"] == []


def test_a_logged_notification_is_sent_again_on_demand(sandbox, order, merchant):
    sandbox.fault("drop_notification")
    sandbox.pay("alipay", "o1")
    number = sandbox.notifications(order="o1")[0]["id"]
    sandbox.control("POST", f"/notifications/{number}/resend")
    merchant.wait_for(1)


def test_a_site_that_is_down_gets_its_notification_when_it_is_back(sandbox, alipay):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    alipay.api_alipay_trade_precreate(
        subject="x", out_trade_no="o2", total_amount="1.00", notify_url=f"http://127.0.0.1:{port}/notify"
    )
    sandbox.pay("alipay", "o2")
    until = time.monotonic() + 5
    while not (tries := sandbox.notifications(order="o2")[0]["tries"]) and time.monotonic() < until:
        time.sleep(0.02)
    assert "error" in tries[0]
    site = Merchant(port=port)
    try:
        site.wait_for(1)
    finally:
        site.shutdown()
        site.server_close()


def test_a_reset_forgets_orders_faults_and_what_was_still_to_be_sent(sandbox, order, merchant):
    sandbox.fault("delay_notification", seconds=0.2)
    sandbox.fault("provider_down")
    sandbox.pay("alipay", "o1")
    sandbox.reset()
    time.sleep(0.4)
    assert merchant.heard == []
    assert sandbox.control("GET", "/orders")["orders"] == []
    assert sandbox.control("GET", "/faults")["faults"] == []


def test_orders_survive_a_restart(tmp_path):
    sandbox_keys.ensure(tmp_path)
    store = Store(tmp_path / "sandbox.sqlite3")
    now = time.time()
    for number, state in (("o8", "closed"), ("o9", "open")):
        store.save_order(
            Order("alipay", number, f"token-{number}", 100, "CNY", "x", created=now, expires=now + 900, state=state)
        )
    store.close()
    server = SandboxServer(state=tmp_path).start()
    try:
        assert "Pay ¥1.00" in opened(f"{server.url}/alipay/pay/token-o9")
        assert server.pay("alipay", "o9")["state"] == "paid"
    finally:
        server.stop()
    store = Store(tmp_path / "sandbox.sqlite3")
    assert [(order.number, order.state) for order in store.orders] == [("o8", "closed"), ("o9", "paid")]
    assert store.open_orders() == []
    store.close()


def test_a_hundred_payers_at_once_are_all_heard(sandbox, alipay, merchant):
    for index in range(100):
        alipay.api_alipay_trade_precreate(subject="x", out_trade_no=f"many{index}", total_amount="1.00")
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda index: sandbox.pay("alipay", f"many{index}"), range(100)))
    merchant.wait_for(100)


def test_missing_and_odd_keys_are_named(tmp_path):
    with pytest.raises(SandboxMisconfigured, match="alipay_app_private"):
        Config.read(port=1, state=tmp_path, site_url="http://x", environment={})
    keys = sandbox_keys.ensure(tmp_path)
    (keys / "wechat_apiv3_key.txt").write_text("short")
    with pytest.raises(SandboxMisconfigured, match="32 characters"):
        Config.read(port=1, state=tmp_path, site_url="http://x", environment={})


def test_a_public_key_may_be_left_out_and_a_webhook_secret_be_ones_own(tmp_path):
    keys = sandbox_keys.ensure(tmp_path)
    (keys / "wechat_merchant_public.pem").unlink()
    config = Config.read(
        port=1, state=tmp_path, site_url="http://x/", environment={"STRIPE_WEBHOOK_SECRET": "whsec_own"}
    )
    assert config.keys.stripe_webhook_secret == "whsec_own"
    assert config.site_url == "http://x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_until_a_signal_and_leaves_at_once(tmp_path, repository, number):
    sandbox_keys.ensure(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--state", str(tmp_path), "--site-url", "http://x"]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout.readline().decode().startswith(f"sandbox: http://127.0.0.1:{port}")
        assert opened(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        process.send_signal(number)
        assert process.wait(20) == 0


def test_the_process_without_keys_says_which_and_ends(tmp_path, repository):
    command = [sys.executable, "-m", "sandbox", "--port", "1", "--state", str(tmp_path), "--site-url", "http://x"]
    ended = subprocess.run(command, cwd=repository, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert b"alipay_app_p" in ended.stderr
    assert b"Traceback" not in ended.stderr
