"""Alipay's wire format: signed requests in, signed answers and notifications out."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from sandbox import crypto
from sandbox.config import Config
from sandbox.delivery import Letter, Signing
from sandbox.world import SHANGHAI, as_json

TIME = "%Y-%m-%d %H:%M:%S"
YUAN = re.compile(r"(0|[1-9]\d{0,8})(\.\d{1,2})?")
CLOCK_TOLERANCE = 600  # seconds; a merchant on UTC instead of Shanghai time is eight hours off


class AlipayError(Exception):
    """An answer that is not 10000; `is_signed` says whether Alipay knows whom it answers."""

    def __init__(self, sub_code: str, sub_msg: str, *, code: str = "40004", is_signed: bool = True) -> None:
        super().__init__(sub_code)
        self.is_signed = is_signed
        messages = {"40001": "Missing Required Arguments", "40002": "Invalid Arguments", "40004": "Business Failed"}
        message = messages.get(code, "Service Currently Unavailable")
        self.node = {"code": code, "msg": message, "sub_code": sub_code, "sub_msg": sub_msg}


def fen(text: Any) -> int:
    """Yuan as a string ("71.23") in fen; raise `AlipayError` if it is not an amount above zero."""
    if not isinstance(text, str | int | float) or not YUAN.fullmatch(str(text)) or Decimal(str(text)) <= 0:
        raise AlipayError("ACQ.INVALID_PARAMETER", f"参数无效：金额 {text!r}")
    return int(Decimal(str(text)) * 100)


def yuan(amount: int) -> str:
    """Fen as yuan with two places."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02}"


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, SHANGHAI).strftime(TIME)


def checked(config: Config, params: Mapping[str, str], *, now: float) -> dict[str, Any]:
    """The business content of a request whose app, time and signature are right; raise `AlipayError`."""
    for name in ("app_id", "method", "sign", "sign_type", "timestamp", "version", "charset"):
        if not params.get(name):
            what = name.replace("_", "-")
            raise AlipayError(f"isv.missing-{what}", f"缺少参数：{name}", code="40001", is_signed=name != "app_id")
    if params["app_id"] != config.alipay_app_id:
        raise AlipayError("isv.invalid-app-id", "无效的AppID参数", code="40002", is_signed=False)
    if params["sign_type"] != "RSA2":
        raise AlipayError("isv.invalid-signature-type", "无效的签名类型", code="40002")
    text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "sign" and value)
    if not crypto.is_signed(config.keys.alipay_app, text, params["sign"]):
        hint = f"验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为：{text}"
        raise AlipayError("isv.invalid-signature", hint.translate({123: "(", 125: ")"}), code="40002")
    try:
        sent = datetime.strptime(params["timestamp"], TIME).replace(tzinfo=SHANGHAI)
    except ValueError:
        sent = datetime.fromtimestamp(0, SHANGHAI)
    if abs(sent.timestamp() - now) > CLOCK_TOLERANCE:
        raise AlipayError("isv.invalid-timestamp", "非法的时间戳参数", code="40002")
    try:
        content = json.loads(params.get("biz_content") or "{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise AlipayError("isv.invalid-parameter", "biz_content不是合法的JSON", code="40002")
    return content


def answer(
    config: Config,
    *,
    method: str,
    node: Any,
    is_signed: bool = True,
    is_spoiled: bool = False,
    charset: str = "utf-8",
) -> str:
    """The signature is over the node's own text, slashes escaped as Alipay escapes them, in the answer's `charset`."""
    text = as_json(node, separators=(",", ":")).replace("/", "\\/")
    name = f"{method.replace('.', '_')}_response" if method else "error_response"
    if not is_signed:
        return f'{{"{name}":{text}}}'
    signature = crypto.sign(config.keys.alipay_platform, text, charset=charset)
    if is_spoiled:
        signature = crypto.spoil(signature)
    return f'{{"{name}":{text},"sign":"{signature}"}}'


def letter(config: Config, fields: Mapping[str, str], *, signing: Signing, now: float) -> Letter:
    """A notification as a form. Everything but `sign` and `sign_type` is signed, empty fields too."""
    signed, charset = {**fields, "notify_time": stamp(now)}, "utf-8"
    if signing is Signing.GBK:
        charset = "gbk"
        signed |= {"charset": "GBK", "subject": "锤子：余额充值", "body": "谢谢惠顾"}
    text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
    signature = crypto.sign(config.keys.alipay_platform, text, charset=charset)
    if signing in (Signing.BAD, Signing.PROBE):
        signature = crypto.spoil(signature)
    body = urlencode({**signed, "sign_type": "RSA2", "sign": signature}, encoding=charset).encode()
    return Letter({"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}, body)
