"""WeChat's wire format: signed requests, signed answers, sealed and signed notifications."""

import json
import re
import time
from typing import Any

from aiohttp import web

from sandbox import crypto
from sandbox.config import Config
from sandbox.delivery import Letter, Signing
from sandbox.world import World, as_json

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PART = re.compile(r'(\w+)="([^"]*)"')
CLOCK_TOLERANCE = 300
PREFIX = "/wechat"
PROBE = "WECHATPAY/SIGNTEST/"


class WechatError(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, status: int, code: str, message: str, **detail: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message}
        if detail:
            self.body["detail"] = detail


def invalid(field: str, issue: str) -> WechatError:
    return WechatError(
        400, "PARAM_ERROR", f"输入源“{field}”不符合规则：{issue}", field=field, issue=issue, location="body"
    )


def check_request(config: Config, request: web.Request, body: str, *, now: float) -> None:
    """Raise `WechatError` unless the Authorization is the merchant's over this method, address, time and body."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme != SCHEME:
        raise WechatError(401, "SIGN_ERROR", "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
    parts = dict(PART.findall(rest))
    if parts.get("mchid") != config.wechat_mchid:
        raise WechatError(401, "SIGN_ERROR", "商户号不存在")
    if parts.get("serial_no") != config.keys.wechat_cert_serial:
        raise WechatError(401, "SIGN_ERROR", "商户证书序列号有误")
    stamp = parts.get("timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and abs(int(stamp) - now) <= CLOCK_TOLERANCE):
        raise WechatError(401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    path = request.raw_path.removeprefix(PREFIX)
    text = f"{request.method}\n{path}\n{stamp}\n{parts.get('nonce_str', '')}\n{body}\n"
    if not crypto.is_signed(config.keys.wechat_merchant, text, parts.get("signature", "")):
        told = {"method": request.method, "url": path, "sign_message_length": len(text.encode())}
        raise WechatError(401, "SIGN_ERROR", "错误的签名，验签失败", location="authorization", sign_information=told)


def signature_headers(config: Config, body: str, *, signing: Signing, now: float) -> dict[str, str]:
    stamp, nonce = str(int(now)), crypto.letters(32)
    signature = crypto.sign(config.keys.wechat_platform, f"{stamp}\n{nonce}\n{body}\n")
    if signing is Signing.BAD:
        signature = crypto.spoil(signature)
    if signing is Signing.PROBE:
        signature = PROBE + signature[len(PROBE) :]
    return {
        "Wechatpay-Serial": config.keys.wechat_public_key_id,
        "Wechatpay-Signature": signature,
        "Wechatpay-Signature-Type": SCHEME,
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Request-ID": f"08{crypto.digits(30)}",
    }


def answer(
    world: World, body: Any, *, status: int = 200, operation: str = "", signing: Signing = Signing.GOOD
) -> web.Response:
    """`body` as JSON, nothing for None; signed, unless a fault says otherwise."""
    if fault := world.faults.take("answer_altered", provider="wechat", operation=operation):
        body = fault.altered(body)
    text = "" if body is None else as_json(body, separators=(",", ":"))
    if world.faults.take("answer_bad_signature", provider="wechat", operation=operation):
        signing = Signing.BAD
    if world.faults.take("answer_probe", provider="wechat", operation=operation):
        signing = Signing.PROBE
    headers = signature_headers(world.config, text, signing=signing, now=time.time())
    if body is None:
        return web.Response(status=status, headers=headers)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json", charset="utf-8")


def refusal(world: World, error: WechatError) -> web.Response:
    return answer(world, error.body, status=error.status, operation="error")


def letter(
    config: Config,
    resource: dict[str, Any],
    *,
    number: str,
    event: str,
    kind: str,
    summary: str,
    created: str,
    signing: Signing,
    now: float,
) -> Letter:
    """A notification: the `resource` sealed under the APIv3 key, the whole signed. `kind` is its original_type.

    `number` is the same in every try.
    """
    nonce = crypto.letters(12)
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    sealed = crypto.seal(config.keys.wechat_apiv3_key, nonce=nonce, text=text, associated=kind)
    envelope = {
        "id": number,
        "create_time": created,
        "resource_type": "encrypt-resource",
        "event_type": event,
        "summary": summary,
        "resource": {
            "original_type": kind,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": sealed,
            "associated_data": kind,
            "nonce": nonce,
        },
    }
    body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
    headers = signature_headers(config, body, signing=signing, now=now)
    return Letter({**headers, "Content-Type": "application/json"}, body.encode())
