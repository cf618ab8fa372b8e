"""A notification that Alipay sends: verified, and what it is about."""

from urllib.parse import parse_qsl

from payments.providers.alipay.sdk import Client
from payments.providers.base import REFUND_KEY_PREFIX, BadNotice, BadSignature, Notice
from payments.providers.reading import NotReadable, needed, text


def read(body: bytes, *, client: Client, app_id: str, seller_id: str) -> Notice:
    """Of a form in the character set it states; verified over the bytes that were signed.

    Raises `BadSignature`, and `BadNotice` for one that is signed and cannot be read.
    """
    try:
        stated = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")).get("charset")
        reading = client.reading(stated or "utf-8")
        form = body.decode(reading.charset)
        fields = dict(
            parse_qsl(form, keep_blank_values=True, strict_parsing=True, encoding=reading.charset, errors="strict")
        )
        signature = fields.pop("sign")
        given = dict(fields)
        if not reading.verify(fields, signature):
            raise BadSignature("the signature is not Alipay's")
    except BadSignature:
        raise
    except Exception as error:  # the SDK raises whatever on odd input; each of it is a bad signature
        raise BadSignature(type(error).__name__) from None
    if given.get("app_id") != app_id or given.get("seller_id", seller_id) != seller_id:
        raise BadSignature("the notification is another merchant's")
    try:
        refund, status = text(given, "out_biz_no"), text(given, "trade_status", most=100)
        order = (needed if status else text)(given, "out_trade_no", most=64)
        return Notice(
            kind=status or needed(given, "notify_type", most=100),
            key=needed(given, "notify_id", most=200),
            # Our number for what it tells: of a refund that we asked for its own, else the order's.
            order_number=refund if refund.startswith(REFUND_KEY_PREFIX) else order,
            reference=refund,
            transaction_id=text(given, "trade_no"),
        )
    except NotReadable as error:
        raise BadNotice(str(error)) from None
