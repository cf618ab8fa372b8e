"""What a sandbox is started with: its address, the merchant's names and the keys both sides exchanged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from sandbox import crypto

K = TypeVar("K")

# Seconds before each further try of a notification that was not accepted. The real ones wait minutes to hours.
RETRY_AFTER = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class SandboxMisconfigured(Exception):
    """A key is missing or is not what its name says; the text says which."""


@dataclass(frozen=True)
class Keys:
    """The merchant's public halves, the providers' private ones, and the shared secrets."""

    alipay_app: RSAPublicKey
    alipay_platform: RSAPrivateKey
    wechat_merchant: RSAPublicKey
    wechat_platform: RSAPrivateKey
    wechat_cert_serial: str
    wechat_apiv3_key: str
    wechat_public_key_id: str
    stripe_secret_key: str
    stripe_webhook_secret: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raise `SandboxMisconfigured` naming the file that is missing or odd."""

        def text(name: str) -> str:
            try:
                content = (folder / name).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SandboxMisconfigured(f"{folder / name} cannot be read: {error}") from error
            if not content:
                raise SandboxMisconfigured(f"{folder / name} is empty.")
            return content

        def private(name: str) -> RSAPrivateKey:
            return _pem(name, crypto.load_private, text(name))

        def public(name: str, private_name: str) -> RSAPublicKey:
            if (folder / name).exists():
                return _pem(name, crypto.load_public, text(name))
            return private(private_name).public_key()

        def _pem(name: str, load: Callable[[str], K], content: str) -> K:
            try:
                return load(content)
            except (ValueError, TypeError) as error:
                raise SandboxMisconfigured(f"{folder / name} is not an RSA key in PEM: {error}") from error

        keys = cls(
            alipay_app=public("alipay_app_public.pem", "alipay_app_private.pem"),
            alipay_platform=private("alipay_platform_private.pem"),
            wechat_merchant=public("wechat_merchant_public.pem", "wechat_merchant_private.pem"),
            wechat_platform=private("wechat_platform_private.pem"),
            wechat_cert_serial=text("wechat_merchant_cert_serial.txt"),
            wechat_apiv3_key=text("wechat_apiv3_key.txt"),
            wechat_public_key_id=text("wechat_public_key_id.txt"),
            stripe_secret_key=text("stripe_secret_key.txt"),
            stripe_webhook_secret=text("stripe_webhook_secret.txt"),
        )
        if len(keys.wechat_apiv3_key) != 32:
            raise SandboxMisconfigured(f"{folder / 'wechat_apiv3_key.txt'} must hold 32 characters.")
        return keys


@dataclass
class Config:
    """One sandbox.

    `site_url` is where Chuizi listens and may change while it runs; `pace` is seconds between chunks of an answer.
    """

    port: int
    state: Path
    site_url: str
    keys: Keys
    host: str = "127.0.0.1"
    merchant_name: str = "Chuizi"
    alipay_app_id: str = "2021000000000001"
    alipay_seller_id: str = "2088000000000001"
    wechat_mchid: str = "1900000001"
    wechat_appid: str = "wx0000000000000001"
    pace: float = 0.02
    refund_seconds: float = 1.0
    retry_after: tuple[float, ...] = field(default=RETRY_AFTER)

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @classmethod
    def read(cls, *, port: int, state: Path, site_url: str, environment: Mapping[str, str]) -> Self:
        """From the state folder; the merchant's names and a webhook secret of one's own from the environment."""
        keys = Keys.read(state / "sandbox-keys")
        if secret := environment.get("STRIPE_WEBHOOK_SECRET"):
            keys = Keys(**{**vars(keys), "stripe_webhook_secret": secret})
        names = {
            "alipay_app_id": "ALIPAY_APP_ID",
            "alipay_seller_id": "ALIPAY_SELLER_ID",
            "wechat_mchid": "WECHATPAY_MCHID",
            "wechat_appid": "WECHATPAY_APPID",
        }
        given = {name: environment[variable] for name, variable in names.items() if environment.get(variable)}
        config = cls(port=port, state=state, site_url=site_url.rstrip("/"), keys=keys)
        for name, value in given.items():
            setattr(config, name, value)
        return config
