"""python-alipay-sdk, kept from reconfiguring the process's logging, which it does when it is imported, and mended where
it takes the machine's time and UTF-8 for Alipay's."""

import copy
import logging.config
from datetime import datetime
from typing import Any

from payments.providers.reading import NotReadable
from payments.providers.sheets import SHANGHAI

_configure = logging.config.dictConfig
logging.config.dictConfig = lambda config: None  # type: ignore[assignment]
try:
    from alipay import AliPay
    from alipay.compat import urlopen
    from alipay.utils import AliPayConfig
finally:
    logging.config.dictConfig = _configure

__all__ = ["AliPayConfig", "Client"]

CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030"}
"""What Alipay may state, and Python's name for it; GB18030 holds the other two, byte for byte."""


class Signed(str):
    """A text as it was signed: in the character set that its sender stated, where the SDK takes UTF-8."""

    charset: str

    def encode(self, *_args: Any, **_kwargs: Any) -> bytes:
        return super().encode(self.charset)


class Client(AliPay):  # type: ignore[misc]
    """The SDK with the time Alipay expects, Shanghai's, where the SDK sends the machine's own; and with its text.

    The SDK takes every answer and notification for UTF-8. They are read here in the character set that they state,
    and verified over the same bytes.
    """

    charset = "utf-8"

    def build_body(self, *args: Any, **kwargs: Any) -> Any:
        body = super().build_body(*args, **kwargs)
        body["timestamp"] = datetime.now(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        return body

    def reading(self, stated: str) -> "Client":
        """The same client for what is written in this character set; raises `NotReadable` for an unknown one."""
        client = copy.copy(self)
        client.charset = codec_of(stated)
        return client

    def verified_sync_response(self, data: Any, response_type: str) -> Any:
        with urlopen(self._gateway + "?" + self.sign_data(data), timeout=self._config.timeout) as answer:
            client = self.reading(answer.headers.get_content_charset() or "utf-8")
            said = answer.read().decode(client.charset)
        return client._verify_and_return_sync_response(said, response_type)

    def _verify(self, raw_content: str, signature: str) -> bool:
        signed = Signed(raw_content)
        signed.charset = self.charset
        return bool(super()._verify(signed, signature))


def codec_of(stated: str) -> str:
    """Raises `NotReadable` for a character set that Alipay does not write."""
    try:
        return CHARSETS[stated.strip().lower()]
    except KeyError:
        raise NotReadable(f"the character set {stated[:20]!r} is not Alipay's") from None
