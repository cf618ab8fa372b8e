"""A provider is on, off, or stops the start with a sentence that names the variable."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments.providers import registry


@pytest.fixture
def configure(settings, sandbox_server):
    """A function: set the payment variables, the sandbox's unless changed."""

    def set_variables(**changes):
        base = {name: sandbox_server.environment.get(name, "") for name in settings.PAYMENT_VARIABLES}
        settings.PAYMENT_VARIABLES = {**base, **changes}

    settings.DEBUG = True
    return set_variables


def test_without_variables_nothing_is_on(settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    assert registry.providers() == {}


CASES = [
    ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"),
    ({"STRIPE_WEBHOOK_SECRET": "secret"}, "STRIPE_WEBHOOK_SECRET"),
    ({"STRIPE_SECRET_KEY": "sk_live_abc"}, "STRIPE_SECRET_KEY"),
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


def test_sandbox_addresses_are_refused_in_production(configure, settings):
    configure()
    settings.DEBUG = False
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        registry.providers()


def test_a_pem_may_stand_in_the_variable_itself(configure, settings, sandbox_server):
    configure(ALIPAY_PUBLIC_KEY=Path(sandbox_server.environment["ALIPAY_PUBLIC_KEY"]).read_text(encoding="ascii"))
    assert set(registry.providers()) == {"stripe", "alipay", "wechat"}
