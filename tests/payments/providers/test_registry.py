"""A provider is on, off, or stops the start with a sentence that names the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments.inbox import refused
from payments.models import Method
from payments.providers import registry
from payments.topups import polling
from tests.payments.conftest import METHODS, open_topup


@pytest.fixture
def configure(settings, sandbox_server):
    """A function: set the payment variables, the sandbox's unless changed."""

    def set_variables(**changes):
        base = {name: sandbox_server.environment.get(name, "") for name in settings.PAYMENT_VARIABLES}
        settings.PAYMENT_VARIABLES = {**base, **changes}

    settings.DEBUG = True
    return set_variables


def test_every_method_has_its_spec_and_no_two_share_an_address_or_a_variable():
    specs = registry.SPECS
    assert [(code, spec.code) for code, spec in specs.items()] == [(method, method) for method in Method.values]
    for names in ("notify_paths", "variables"):
        given = [name for spec in specs.values() for name in getattr(spec, names)]
        assert len(given) == len(set(given)) > 0
    assert all(name.startswith(f"{spec.variable_prefix}_") for spec in specs.values() for name in spec.variables)


def test_without_variables_nothing_is_on(settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    assert registry.providers() == {}


CASES = [
    ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"),
    ({"STRIPE_WEBHOOK_SECRET": "secret"}, "STRIPE_WEBHOOK_SECRET"),
    ({"STRIPE_SECRET_KEY": "sk_live_abc"}, "STRIPE_SECRET_KEY"),
    ({"STRIPE_SECRET_KEY": "rk_live_abc"}, "STRIPE_SECRET_KEY"),
    ({"STRIPE_API_BASE": "http://stripe.example.com"}, "STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "127.0.0.1:9000"}, "STRIPE_API_BASE"),
    ({"ALIPAY_GATEWAY": "http://openapi.alipay.com/gateway.do"}, "ALIPAY_GATEWAY"),
    ({"ALIPAY_PUBLIC_KEY": ""}, "ALIPAY_PUBLIC_KEY"),
    ({"ALIPAY_APP_PRIVATE_KEY": "MIIEbarebase64"}, "ALIPAY_APP_PRIVATE_KEY"),
    ({"ALIPAY_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nodd\n-----END PUBLIC KEY-----"}, "ALIPAY_PUBLIC_KEY"),
    ({"WECHATPAY_APIV3_KEY": "short"}, "WECHATPAY_APIV3_KEY"),
    ({"WECHATPAY_PUBLIC_KEY_ID": "1234"}, "WECHATPAY_PUBLIC_KEY_ID"),
    ({"WECHATPAY_MCHID": ""}, "WECHATPAY_MCHID"),
    ({"WECHATPAY_PRIVATE_KEY": "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END"}, "WECHATPAY_PRIVATE_KEY"),
]


@pytest.mark.parametrize(("changes", "named"), CASES)
def test_a_half_configured_provider_stops_the_start(configure, changes, named):
    configure(**changes)
    with pytest.raises(ImproperlyConfigured, match=named):
        registry.providers()


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9000", "localhost", "[::1]:80", "10.0.0.7", "192.168.1.1", "169.254.1.1", "pay.internal"]
)
@pytest.mark.parametrize("name", [spec.address for spec in registry.SPECS.values()])
def test_sandbox_addresses_are_refused_in_production(configure, settings, name, host):
    provider = name.partition("_")[0]
    configure(**{name: f"https://{host}/x"})
    settings.PAYMENT_VARIABLES = {
        variable: value if variable.startswith(provider) else ""
        for variable, value in settings.PAYMENT_VARIABLES.items()
    }
    settings.DEBUG = False
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        registry.providers()


def test_a_pem_may_stand_in_the_variable_itself(configure, settings, sandbox_server):
    configure(ALIPAY_PUBLIC_KEY=Path(sandbox_server.environment["ALIPAY_PUBLIC_KEY"]).read_text(encoding="ascii"))
    assert set(registry.providers()) == {"stripe", "alipay", "wechat"}


@pytest.mark.parametrize(
    "start", ["import chuizi.asgi", "from chuizi.celery import app; app.loader.import_default_modules()"]
)
def test_a_wrong_value_stops_gateway_and_worker_with_a_sentence_that_keeps_the_secret(repository, start):
    secret = "sk_live_do-not-print-me"
    environment = {**os.environ, "STRIPE_SECRET_KEY": secret, "STRIPE_WEBHOOK_SECRET": "", "DEBUG": "False"}
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=repository, env=environment, capture_output=True, text=True
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0
    assert last.endswith("STRIPE_WEBHOOK_SECRET is not set, but other variables of stripe are. Set all or none.")
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", ["", "provider_down", "answer_bad_signature"])
def test_secrets_are_in_no_log(sandbox, customer, settings, caplog, method, fault):
    caplog.set_level("DEBUG")
    if fault:
        sandbox.fault(fault, provider=method, times=0)
    topup = open_topup(customer, method=method)
    polling.poll(topup_id=topup.pk, now=topup.expires_at + polling.GRACE)
    text = caplog.text
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "WECHATPAY_APIV3_KEY"):
        assert settings.PAYMENT_VARIABLES[name] not in text
    assert "PRIVATE KEY" not in text


def test_refused_notifications_are_counted(client, sandbox):
    counter = refused.REFUSED.labels("alipay")
    before = counter._value.get()
    client.post("/payments/alipay/notify", b"out_trade_no=1", content_type="application/x-www-form-urlencoded")
    assert counter._value.get() == before + 1
