"""The environment of a local run: the person's own variables and `.env`, and sandbox values for what they leave out."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import environ

from chuizi.local import sandbox_keys
from chuizi.local.state import BASE_DIR, LocalError, kept, write_private

# A provider whose own secret is given is that person's account: its other variables are theirs to give as well,
# since a sandbox address or a sandbox webhook secret would only break it.
OWN_SECRET = {
    "STRIPE_": "STRIPE_SECRET_KEY",
    "ALIPAY_": "ALIPAY_APP_PRIVATE_KEY",
    "WECHATPAY_": "WECHATPAY_PRIVATE_KEY",
}
SHARED_SECRETS = {
    "STRIPE_WEBHOOK_SECRET": "stripe_webhook_secret.txt",
    "WECHATPAY_APIV3_KEY": "wechat_apiv3_key.txt",
    "WECHATPAY_CERT_SERIAL": "wechat_merchant_cert_serial.txt",
    "WECHATPAY_PUBLIC_KEY_ID": "wechat_public_key_id.txt",
}
# What a person may have set and `make env` must therefore repeat.
OPTIONAL = (
    "DEFAULT_FROM_EMAIL",
    "SUPPORT_EMAIL",
    "SIGNUP_CREDIT",
    "PRICE_MARGIN",
    "PRICE_JUMP",
    "BILL_TOLERANCE",
    "BILL_TOLERANCE_SHARE",
    "OVERRUN_LIMIT",
    "OVERRUN_AFTER_DAYS",
    "HOLD_WAIT_SECONDS",
    "MAX_BODY_BYTES",
    "MAX_PAGE_BODY_BYTES",
    "TRUSTED_PROXY_DEPTH",
    "TRUSTED_PROXIES",
    "METRICS_TOKEN",
    "DEFAULT_KEY_RPM",
    "DEFAULT_CUSTOMER_RPM",
    "DEFAULT_MODEL_RPM",
    "WEB_CONCURRENCY",
)
RECORD = "environment.json"


def load_dotenv() -> None:
    """Take `.env` into the environment, where what is there already stays; the settings do the same."""
    environ.Env.read_env(BASE_DIR / ".env")


def port(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise LocalError(f"{name} must be a port number from 1 to 65535, not {text!r}.")
    return int(text)


def sandbox_values(
    *, state: Path, port: int, sandbox_port: int, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Everything a first try needs, in sandbox mode; secrets are made once and kept in the state folder.

    A shared secret that `given` names is told to the sandbox too, which would sign with another one otherwise.
    """
    own = own_providers(given or {})
    shared = {file: (given or {}).get(name) for name, file in SHARED_SECRETS.items() if not name.startswith(own)}
    keys = sandbox_keys.ensure(state, {file: secret for file, secret in shared.items() if secret})
    sandbox = f"http://127.0.0.1:{sandbox_port}"

    def text(name: str) -> str:
        return (keys / name).read_text(encoding="ascii")

    return {
        "CHUIZI_STATE_DIR": str(state),
        "PORT": str(port),
        "SANDBOX_PORT": str(sandbox_port),
        "SANDBOX_URL": sandbox,
        "SITE_URL": f"http://127.0.0.1:{port}",
        "ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
        "DEBUG": "True",
        "SECRET_KEY": kept(state / "secret-key"),
        "FIELD_ENCRYPTION_KEY": kept(state / "field-encryption-key"),
        # django-environ takes the path after the first slash of the path, hence one more for an absolute one.
        "EMAIL_URL": f"filemail:///{state / 'mail'}",
        "ALLOW_PRIVATE_UPSTREAMS": "True",
        "ALLOW_PRIVATE_WEBHOOKS": "True",
        # The demo's staff login is for a look around on one's own machine.
        "STAFF_SECOND_FACTOR": "False",
        "USD_CNY_RATE": "7.12",
        "FX_RATE_MAX_AGE_DAYS": "0",
        "STOP_NOTICE_SECONDS": "0",
        "DRAIN_SECONDS": "2",
        "STRIPE_SECRET_KEY": text("stripe_secret_key.txt"),
        "STRIPE_WEBHOOK_SECRET": text("stripe_webhook_secret.txt"),
        "STRIPE_API_BASE": f"{sandbox}/stripe",
        "ALIPAY_APP_ID": "2021000000000001",
        "ALIPAY_SELLER_ID": "2088000000000001",
        "ALIPAY_APP_PRIVATE_KEY": str(keys / "alipay_app_private.pem"),
        "ALIPAY_PUBLIC_KEY": str(keys / "alipay_platform_public.pem"),
        "ALIPAY_GATEWAY": f"{sandbox}/alipay/gateway.do",
        "WECHATPAY_MCHID": "1900000001",
        "WECHATPAY_APPID": "wx0000000000000001",
        "WECHATPAY_PRIVATE_KEY": str(keys / "wechat_merchant_private.pem"),
        "WECHATPAY_CERT_SERIAL": text("wechat_merchant_cert_serial.txt"),
        "WECHATPAY_APIV3_KEY": text("wechat_apiv3_key.txt"),
        "WECHATPAY_PUBLIC_KEY": str(keys / "wechat_platform_public.pem"),
        "WECHATPAY_PUBLIC_KEY_ID": text("wechat_public_key_id.txt"),
        "WECHATPAY_API_BASE": f"{sandbox}/wechat",
    }


def own_providers(values: Mapping[str, str]) -> tuple[str, ...]:
    """The prefixes of the providers at which these values name an account of the person's own."""
    return tuple(prefix for prefix, secret in OWN_SECRET.items() if secret in values)


def completed(values: Mapping[str, str], *, defaults: Mapping[str, str]) -> dict[str, str]:
    """`values` with the defaults for what is missing in them; nothing that is there is changed."""
    own = own_providers(values)
    return {name: value for name, value in defaults.items() if not name.startswith(own)} | dict(values)


def record(state: Path, values: Mapping[str, str], *, names: set[str]) -> None:
    """Keep a run's environment for `make env`: these names, and the optional ones that are set."""
    chosen = {name: values[name] for name in sorted(names | set(OPTIONAL)) if name in values}
    write_private(state / RECORD, json.dumps(chosen, indent=1))


def recorded(state: Path) -> dict[str, str]:
    try:
        return dict(json.loads((state / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def export_lines(values: Mapping[str, str]) -> str:
    """Lines for a shell's `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items()))
