"""A notification that WeChat Pay sends: verified, decrypted, and what it is about."""

import re
import time
from collections.abc import Mapping

from wechatpayv3 import WeChatPay

from payments.providers.base import REFUND_KEY_PREFIX, BadNotice, BadSignature, Notice
from payments.providers.reading import NotReadable, mapping, needed, text

TOLERANCE_SECONDS = 300
HEADERS = (
    "Wechatpay-Signature",
    "Wechatpay-Signature-Type",
    "Wechatpay-Timestamp",
    "Wechatpay-Nonce",
    "Wechatpay-Serial",
)


def read(body: bytes, headers: Mapping[str, str], *, client: WeChatPay, mchid: str, key_id: str) -> Notice:
    """`key_id` is of WeChat Pay's public key. Raises `BadSignature`, also for WeChat's own signature probes: to those a
    refusal is the right answer; and `BadNotice` for one that is signed and cannot be read.
    """
    given = {name: headers.get(name, "") for name in HEADERS}
    if not all(given.values()):
        raise BadSignature("a header is missing")
    # An unknown serial would make the SDK look for its certificate over the network.
    if given["Wechatpay-Serial"] != key_id:
        raise BadSignature("the serial is not our public key's id")
    stamp = given["Wechatpay-Timestamp"]
    if not re.fullmatch("[0-9]{1,12}", stamp) or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        raise BadSignature("the timestamp is too old or too new")
    try:
        letter = client.callback(given, body)
    except Exception as error:  # the SDK raises bare exceptions on odd input
        raise BadSignature(type(error).__name__) from None
    if not letter:
        raise BadSignature("the signature is not WeChat Pay's")
    try:
        resource = mapping(mapping(letter, "the letter").get("resource"), "resource")
        if resource.get("mchid", mchid) != mchid:
            raise BadSignature("the notification is another merchant's")
        kind = needed(letter, "event_type", most=100)
        order = needed(resource, "out_trade_no", most=64)
        refund = needed(resource, "out_refund_no") if kind.startswith("REFUND.") else ""
        return Notice(
            kind=kind,
            key=needed(letter, "id", most=200),
            order_number=refund if refund.startswith(REFUND_KEY_PREFIX) else order,
            reference=refund,
            transaction_id=text(resource, "transaction_id"),
        )
    except NotReadable as error:
        raise BadNotice(str(error)) from None
