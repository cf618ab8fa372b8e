"""Signed, and not what it should be: refused as it comes in its shape, nothing half done."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from payments.inbox import refused
from payments.models import Notification
from sandbox import crypto
from sandbox.delivery import Signing
from sandbox.wechat import wire as wechat_wire
from tests.payments.conftest import open_topup, process_inbox

NOTIFIED = {
    "stripe": "/payments/stripe/webhook",
    "alipay": "/payments/alipay/notify",
    "wechat": "/payments/wechat/notify",
}
DEEP = "[" * 30_000 + "]" * 30_000
VALUES = (None, [], {}, "", 7, -1.5, True, ["x"], {"a": {"b": [None]}}, "x" * 3000, "nul\0", "\ud800", 10**40)
WHOLE = (
    "[]",
    "{}",
    "null",
    "17",
    '"text"',
    "true",
    "[[]]",
    DEEP,
    '{"a":' * 30_000 + "1" + "}" * 30_000,
    "NaN",
    "1e999",
)
OBJECTS = {
    "checkout.session.completed": {"id": "cs_1", "client_reference_id": "topup_x", "payment_status": "paid"},
    "refund.updated": {"id": "re_1", "payment_intent": "pi_1", "metadata": {"part": "part_x"}},
    "charge.refunded": {"id": "ch_1", "payment_intent": "pi_1", "metadata": {}},
    "charge.dispute.created": {"id": "du_1", "payment_intent": "pi_1"},
    "radar.early_fraud_warning.created": {"id": "issfr_1", "charge": "ch_1"},
}


def at_stripe(client, settings, body: str | bytes):
    raw = body if isinstance(body, bytes) else body.encode()
    secret, stamp = settings.PAYMENT_VARIABLES["STRIPE_WEBHOOK_SECRET"], int(time.time())
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}"}
    return client.post(NOTIFIED["stripe"], raw, content_type="application/json", headers=headers)


def at_wechat(client, sandbox, body: str):
    headers = wechat_wire.signature_headers(sandbox.config, body, signing=Signing.GOOD, now=time.time())
    return client.post(NOTIFIED["wechat"], body.encode(), content_type="application/json", headers=headers)


def sealed(sandbox, content: str, **changes: Any) -> str:
    nonce = crypto.letters(12)
    text = crypto.seal(sandbox.config.keys.wechat_apiv3_key, nonce=nonce, text=content, associated="transaction")
    letter = {
        "id": "n-1",
        "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": text,
            "associated_data": "transaction",
            "nonce": nonce,
        },
    }
    for name, value in changes.items():
        _put(letter, name, value)
    return json.dumps(letter)


def at_alipay(client, sandbox, fields: dict[str, str], *, encoding: str = "utf-8"):
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    signature = crypto.sign(sandbox.config.keys.alipay_platform, text, charset=encoding)
    body = urlencode({**fields, "sign_type": "RSA2", "sign": signature}, encoding=encoding)
    return client.post(NOTIFIED["alipay"], body.encode(), content_type="application/x-www-form-urlencoded")


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split("__")
    for part in path:
        tree = tree[part]
    if value is None:
        del tree[last]
    else:
        tree[last] = value


def _paths(tree: Any, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, value in tree.items():
        found.append((*before, name))
        if isinstance(value, dict):
            found += _paths(value, (*before, name))
    return found


def event_of(kind: str) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "type": kind, "data": {"object": dict(OBJECTS[kind])}}


@pytest.mark.parametrize("body", WHOLE)
def test_a_signed_body_that_is_no_event_is_400_in_the_contracts_shape(client, sandbox, settings, customer, body):
    answer = at_stripe(client, settings, body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "code"}
    assert Notification.objects.count() == 0


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"id": "\xff"}', b"\x00", b""])
def test_signed_bytes_that_are_no_text_are_400(client, sandbox, settings, customer, body):
    assert at_stripe(client, settings, body).status_code == 400


@pytest.mark.parametrize("kind", OBJECTS)
def test_every_field_of_an_event_with_every_type_is_stored_or_400_and_never_a_500(
    client, sandbox, settings, customer, kind
):
    refused_at = set()
    for path in _paths(event_of(kind)):
        for value in VALUES:
            event = event_of(kind)
            _put(event, "__".join(path), value)
            event["id"] = f"evt_{time.monotonic_ns()}" if event.get("id") == "evt_1" else event.get("id")
            before = Notification.objects.count()
            answer = at_stripe(client, settings, json.dumps(event))
            assert answer.status_code in (200, 400), (path, value)
            assert (Notification.objects.count() - before) == (answer.status_code == 200), (path, value)
            if answer.status_code == 400:
                refused_at.add((path, repr(value)[:20]))
    for path in (("id",), ("type",), ("data",), ("data", "object")):
        for value in (None, [], 7, True, "", "nul\0"):
            assert (path, repr(value)[:20]) in refused_at, (path, value)
    process_inbox()


def test_another_shops_session_without_our_number_is_stored_and_unknown(client, sandbox, settings, customer):
    event = event_of("checkout.session.completed")
    event["data"]["object"]["client_reference_id"] = None
    assert at_stripe(client, settings, json.dumps(event)).status_code == 200
    assert [n.outcome for n in process_inbox()] == ["unknown_order"]


@pytest.mark.parametrize("body", WHOLE)
def test_a_signed_letter_or_resource_of_wechat_that_is_none_is_refused_as_wechat_expects(
    client, sandbox, customer, body
):
    for answer in (at_wechat(client, sandbox, body), at_wechat(client, sandbox, sealed(sandbox, body))):
        assert answer.status_code in (400, 401)
        assert answer.json()["code"] == "FAIL"
    assert Notification.objects.count() == 0


def test_every_field_of_wechats_letter_with_every_type_is_stored_or_refused(client, sandbox, customer):
    resource = {"mchid": sandbox.config.wechat_mchid, "out_trade_no": "topup_x", "out_refund_no": "part_x"}
    letter = json.loads(sealed(sandbox, json.dumps(resource)))
    for path in _paths(letter):
        for value in VALUES:
            changes = {"__".join(path): value}
            answer = at_wechat(client, sandbox, sealed(sandbox, json.dumps(resource), **changes))
            assert answer.status_code in (204, 400, 401), (path, value)
    for name in resource:
        for value in VALUES:
            before = Notification.objects.count()
            changed = {**resource, name: value}
            names = {"id": f"n-{time.monotonic_ns()}", "event_type": "REFUND.SUCCESS"}
            answer = at_wechat(client, sandbox, sealed(sandbox, json.dumps(changed), **names))
            assert answer.status_code in (204, 400, 401), (name, value)
            assert (Notification.objects.count() - before) == (answer.status_code == 204)
            if name != "mchid" and isinstance(value, list | dict | bool | float):
                assert answer.status_code == 400
    process_inbox()


def test_every_field_of_alipays_form_left_out_emptied_or_overlong_is_stored_or_refused(client, sandbox, customer):
    topup = open_topup(customer, method="alipay")
    sandbox.fault("drop_notification", provider="alipay", times=0)
    sandbox.pay("alipay", topup.number)
    good = {
        "notify_type": "trade_status_sync",
        "notify_id": "n1",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": sandbox.config.alipay_app_id,
        "seller_id": sandbox.config.alipay_seller_id,
        "out_trade_no": topup.number,
        "out_biz_no": "",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "142.40",
    }
    for name in good:
        for value in ("", "x" * 3000, "nul\0", "锤子", "7", "[]", "&=", "%ff", None):
            fields = {**good, "notify_id": f"n{time.monotonic_ns()}", name: value}
            fields = {key: text for key, text in fields.items() if text is not None}
            before = Notification.objects.count()
            answer = at_alipay(client, sandbox, fields)
            assert answer.status_code in (200, 400), (name, value)
            assert answer.content in (b"success", b"fail")
            assert (Notification.objects.count() - before) == (answer.status_code == 200), (name, value)
    for name in ("notify_id", "app_id"):
        for value in ("", "x" * 3000, "nul\0"):
            assert at_alipay(client, sandbox, {**good, name: value}).status_code == 400
    process_inbox()


@pytest.mark.parametrize("charset", ["GBK", "gbk", "GB2312", "gb18030"])
def test_a_form_of_alipay_is_read_and_verified_in_the_character_set_it_states(client, sandbox, customer, charset):
    fields = {
        "notify_type": "trade_status_sync",
        "notify_id": "n1",
        "charset": charset,
        "app_id": sandbox.config.alipay_app_id,
        "subject": "锤子：余额充值（二十美元）",
        "out_trade_no": "topup_x",
        "trade_status": "TRADE_SUCCESS",
    }
    assert at_alipay(client, sandbox, fields, encoding="gbk").status_code == 200
    assert at_alipay(client, sandbox, {**fields, "charset": "utf-8"}, encoding="gbk").status_code == 400
    assert at_alipay(client, sandbox, {**fields, "charset": "utf-16"}).status_code == 400
    assert at_alipay(client, sandbox, {**fields, "charset": "rot13"}).status_code == 400


def test_what_was_signed_and_is_refused_is_among_the_samples_with_its_reason(client, sandbox, settings, customer):
    refused._last_slot.clear()
    at_stripe(client, settings, "[]")
    assert refused.samples(provider="stripe")[0]["reason"] == "the event is no object"
