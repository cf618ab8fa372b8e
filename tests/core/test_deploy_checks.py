"""`check --deploy` names what opens a public installation, each fault with its sentence."""

import pytest
from django.core.checks import Error, run_checks

GOOD = {
    "SITE_URL": "https://chuizi.example.com",
    "DEBUG": False,
    "SECRET_KEY": "kJ8s0-dW3nQz7LxVb2Ht5RyMc9Fg4PaEu6",
    "FIELD_ENCRYPTION_KEY": "pZ3x8-vB6mKq1TwYj4Ns7DcRf0Gh5LeUa2",
    "STAFF_SECOND_FACTOR": True,
    "ALLOWED_HOSTS": ["chuizi.example.com"],
    "SANDBOX_URL": "",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
}


@pytest.fixture
def public(settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    for name, value in GOOD.items():
        setattr(settings, name, value)
    return settings


def faults() -> list[str]:
    found = run_checks(tags=["security"], include_deployment_checks=True)
    return [
        str(message.msg) for message in found if isinstance(message, Error) and str(message.id).startswith("chuizi")
    ]


def test_a_sound_installation_has_no_fault(public):
    assert faults() == []


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("SITE_URL", "http://chuizi.example.com", "SITE_URL"),
        ("DEBUG", True, "DEBUG"),
        ("SECRET_KEY", "x", "SECRET_KEY"),
        ("SECRET_KEY", "a" * 64, "SECRET_KEY"),
        ("FIELD_ENCRYPTION_KEY", "changeme", "FIELD_ENCRYPTION_KEY"),
        ("STAFF_SECOND_FACTOR", False, "STAFF_SECOND_FACTOR"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS"),
        ("SANDBOX_URL", "https://sandbox.example.com", "sandbox"),
        ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend", "EMAIL_URL"),
        ("EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend", "EMAIL_URL"),
    ],
)
def test_each_fault_is_an_error_with_its_sentence(public, name, value, word):
    setattr(public, name, value)
    [text] = faults()
    assert word in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_API_BASE", "https://sandbox.example.com/stripe"),
        ("ALIPAY_GATEWAY", "https://openapi-sandbox.dl.alipaydev.com/gateway.do"),
        ("WECHATPAY_API_BASE", "https://api.mch.weixin.qq.com.example.com"),
    ],
)
def test_a_provider_elsewhere_is_a_sandbox_under_whatever_name(public, name, value):
    public.PAYMENT_VARIABLES = public.PAYMENT_VARIABLES | {name: value}
    [text] = faults()
    assert name in text


@pytest.mark.parametrize("key", ["sk_test_51abc", "rk_test_51abc"])
def test_a_test_key_sells_credit_for_no_money(public, key):
    public.PAYMENT_VARIABLES = public.PAYMENT_VARIABLES | {"STRIPE_SECRET_KEY": key}
    [text] = faults()
    assert "test key" in text
    public.PAYMENT_VARIABLES = public.PAYMENT_VARIABLES | {"STRIPE_SECRET_KEY": key.replace("test", "live")}
    assert faults() == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_on_this_machine_alone_nothing_is_asked(public, url):
    public.SITE_URL, public.DEBUG, public.SECRET_KEY = url, True, "x"
    assert faults() == []
