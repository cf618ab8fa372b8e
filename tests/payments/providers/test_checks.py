"""`check_payments`: keys, the provider's answer and the public address, seen from outside."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from django.core.management import CommandError, call_command

from payments.inbox import notifications, refused
from payments.models import Notification
from payments.providers import checks, registry
from tests.payments.conftest import METHODS

pytestmark = pytest.mark.django_db(transaction=True)
NOTIFY_PATHS = {code: spec.notify_path for code, spec in registry.SPECS.items()}
SIGNATURES = [spec.signature_header for spec in registry.SPECS.values()]


class Middle(HTTPServer):
    """A server between the public address and us; `forward` is what it makes of a request."""

    def __init__(self, behaviour: str, site: str) -> None:
        self.behaviour, self.site = behaviour, site
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Middle

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Content-Length")}
        if self.server.behaviour == "redirect":
            self._answer(301, {"Location": f"{self.server.site}{self.path}/"})
            return
        if self.server.behaviour == "stranger":
            self._answer(200, {})
            return
        if self.server.behaviour == "rewrite":
            body = body.replace(b"chuizi", b"Chuizi")
        if self.server.behaviour == "drop":
            headers = {name: value for name, value in headers.items() if name not in SIGNATURES}
        found = requests.post(self.server.site + self.path, data=body, headers=headers, timeout=10)
        mark = found.headers.get(checks.PROBE_HEADER)
        self._answer(found.status_code, {checks.PROBE_HEADER: mark} if mark else {})

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def through(sandbox, settings, live_server) -> Iterator[object]:
    """A function: put a server of this behaviour before ours, at SITE_URL."""
    started: list[Middle] = []

    def put(behaviour: str) -> None:
        server = Middle(behaviour, live_server.url)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        settings.SITE_URL = f"http://127.0.0.1:{server.server_port}"

    yield put
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("provider", METHODS)
def test_a_provider_that_is_set_up_right_has_nothing_wrong(sandbox, provider):
    found = checks.check(provider=provider)
    assert (len(found.right), found.wrong) == (4 if provider == "stripe" else 3, [])
    assert any(NOTIFY_PATHS[provider] in line for line in found.to_paste)


def settlement() -> checks.Check:
    """What is found of the Stripe account's currencies."""
    found = checks.Check("stripe")
    checks._settlement(found)
    return found


def test_it_is_said_in_which_currency_stripe_settles_and_what_the_books_make_of_it(sandbox):
    [said] = settlement().right
    assert said == "It settles in USD, as it charges: what it holds is clearing:stripe:USD."
    sandbox.control("POST", "/settings", settles_in="eur")
    [said] = settlement().right
    assert said.startswith("It settles in EUR: fees and payouts are booked in EUR")
    assert "from clearing:stripe:USD to clearing:stripe:EUR when its statement is matched" in said


@pytest.mark.parametrize(
    ("sums", "says"),
    [
        ([{"currency": "xyz", "amount": 0}], "It settles in XYZ, which the books do not know"),
        ([{"currency": 7}], "It does not say in which currency it settles"),
        ("nothing", "It does not say in which currency it settles"),
    ],
)
def test_a_currency_that_the_books_do_not_know_is_wrong_and_so_is_no_answer(sandbox, sums, says):
    sandbox.fault("answer_altered", provider="stripe", operation="account", fields={"available": sums})
    found = settlement()
    assert found.right == []
    assert says in found.wrong[0]


def test_a_signed_test_event_is_kept_once_and_nothing_is_done_about_it(sandbox):
    for _ in range(2):
        checks.check(provider="stripe")
    kept = Notification.objects.get()
    notifications.process(notification_id=kept.pk, now=kept.received_at)
    kept.refresh_from_db()
    assert (kept.kind, kept.repeats, kept.outcome) == ("chuizi.check", 1, Notification.Outcome.IGNORED)


@pytest.mark.parametrize("provider", METHODS)
@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ("redirect", "redirects to"),
        ("stranger", "not as this installation does"),
        ("rewrite", "changes bodies or drops headers"),
    ],
)
def test_what_stands_before_the_public_address_is_seen(through, provider, behaviour, says):
    through(behaviour)
    [wrong] = checks.check(provider=provider).wrong
    assert says in wrong


def test_a_proxy_that_drops_the_signatures_header_is_seen(through):
    through("drop")
    [wrong] = checks.check(provider="wechat").wrong
    assert "drops headers" in wrong


def test_an_address_that_nobody_answers_is_said(sandbox, settings):
    settings.SITE_URL = "http://127.0.0.1:9"
    [wrong] = checks.check(provider="alipay").wrong
    assert "is SITE_URL the public address?" in wrong


@pytest.mark.parametrize(
    ("provider", "variable", "value"),
    [
        ("stripe", "STRIPE_SECRET_KEY", "sk_test_anothers"),
        ("alipay", "ALIPAY_APP_ID", "2021000000000009"),
        ("wechat", "WECHATPAY_CERT_SERIAL", "0" * 40),
    ],
)
def test_keys_that_the_provider_does_not_take_are_said_without_being_shown(
    sandbox, settings, provider, variable, value
):
    settings.PAYMENT_VARIABLES = {**settings.PAYMENT_VARIABLES, variable: value}
    found = checks.check(provider=provider)
    assert any("does not take our keys" in sentence for sentence in found.wrong)
    assert not any(value in sentence for sentence in found.wrong)


def test_the_command_says_what_to_paste_and_fails_when_something_is_wrong(sandbox, settings, capsys):
    call_command("check_payments")
    said = capsys.readouterr().out
    assert "WRONG" not in said
    assert f"Endpoint URL: {settings.SITE_URL}/payments/stripe/webhook" in said
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "WECHATPAY_APIV3_KEY"):
        assert settings.PAYMENT_VARIABLES[name] not in said
    settings.SITE_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="1 thing is wrong"):
        call_command("check_payments", provider="wechat")


def test_a_provider_that_is_off_is_named_with_what_it_needs(settings, capsys):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    call_command("check_payments")
    assert "stripe: off. To use it set STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET." in capsys.readouterr().out


@pytest.mark.parametrize("probe", ["", "0" * 32 + "." + "0" * 64, "nonsense"])
def test_a_stranger_gets_no_mark(client, sandbox, probe):
    answer = client.post("/payments/stripe/webhook", b"{}", "application/json", headers={checks.PROBE_HEADER: probe})
    assert answer.status_code == 400
    assert checks.PROBE_HEADER not in answer.headers


def test_refused_notifications_are_sampled_and_never_fill_anything():
    """One in ten seconds is kept, the newest eight of a provider, cut to a kilobyte and without secrets."""
    refused._last_slot.clear()
    counter = refused.REFUSED.labels("stripe")
    before = counter._value.get()
    start = datetime(2026, 11, 27, tzinfo=UTC)
    for number in range(200):
        refused.count(
            provider="stripe",
            reason=f"bad {number}",
            body=b"x" * 100_000,
            headers={"Cookie": "secret", "User-Agent": "curl"},
            now=start + timedelta(seconds=number),
        )
    assert counter._value.get() == before + 200
    kept = refused.samples(provider="stripe")
    assert [sample["reason"] for sample in kept] == [f"bad {number}" for number in range(190, 110, -10)]
    assert all(len(sample["body"]) == 1000 and "secret" not in sample["headers"] for sample in kept)
    assert Notification.objects.count() == 0
