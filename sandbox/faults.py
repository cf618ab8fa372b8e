"""Ways to misbehave, armed through the control API and used up as they happen."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Name: what happens. The control API shows this list and refuses other names.
KNOWN = {
    "drop_notification": "the notification is never sent",
    "repeat_notification": "it is sent `count` times more (1)",
    "delay_notification": "it is sent after `seconds` (5)",
    "reorder_notification": "it waits until the next one has been sent, `seconds` (3) at most",
    "bad_signature": "one try of a notification carries a signature that does not verify",
    "stale_timestamp": "one try of a notification is signed `seconds` (3600) ago",
    "signature_probe": "one try of a WeChat notification carries WeChat's deliberate WECHATPAY/SIGNTEST/ signature",
    "answer_bad_signature": "an API answer of Alipay or WeChat carries a signature that does not verify",
    "answer_probe": "an API answer of WeChat carries a WECHATPAY/SIGNTEST/ signature",
    "answer_garbled": "the call takes effect and its answer is none: `how` is gbk, cut, half, html, list, number, "
    "text, null, deep, empty, bytes or base64, `status` (200) its status; `operation` names the call",
    "answer_altered": "an API answer has other `fields` (null leaves one out), or is `instead`, signed as ever; "
    "`operation` names the call",
    "answer_gbk": "an API answer of Alipay is written in GBK, says so, and has Chinese in it",
    "notification_gbk": "one try of an Alipay notification is written in GBK, says so, and has Chinese in it",
    "time_out_after_success": "the call takes effect, then hangs for `seconds` (30); `operation` names the call",
    "time_out_before": "the call hangs for `seconds` (30) and takes no effect; `operation` names the call",
    "provider_down": "503 and no effect; `operation` names the call",
    "card_declined": "Stripe: a kept card is declined when it is charged",
    "card_wants_holder": "Stripe: the bank of a kept card wants its holder when it is charged",
    "refund_pending": "a refund stays pending, for ever unless it is settled through the control API",
    "refund_fails": "a refund is accepted and fails after `seconds` (1)",
    "refund_bounces": "a refund succeeds and comes back after `seconds` (1)",
    "refund_abnormal": "WeChat: a refund ends ABNORMAL after `seconds` (1)",
    "refund_closed": "WeChat: a refund ends CLOSED after `seconds` (1)",
    "refund_recovers": "a refund fails (WeChat: ABNORMAL) and is paid after all after `seconds` (1)",
    "refund_to_bank_card": "WeChat: a refund goes to a bank card, as its answers say",
    "refund_no_funds": "a refund is refused, since the merchant's account is empty",
    "statement_drop": "a statement leaves out one row",
    "statement_add": "a statement has one row of an order nobody knows, with `amount` (100)",
    "statement_alter": "one row of a statement has `amount` (100) more",
    "statement_not_ready": "the statement is not there yet; where a day has two, `operation` here and above is trade "
    "or flow, else it is the one that is asked for next",
}


class UnknownFault(Exception):
    """No fault has this name."""


@dataclass
class Fault:
    """`provider`, `order` and `event` narrow it when set; `times` 0 lasts until it is cleared."""

    id: int
    name: str
    provider: str = ""
    order: str = ""
    event: str = ""
    times: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def seconds(self, default: float) -> float:
        return float(self.options.get("seconds", default))

    def altered(self, content: Any) -> Any:
        """An answer with this fault's `fields` in it, a dotted name going inside; or all of another one."""
        if "instead" in self.options:
            return self.options["instead"]
        changed = copy.deepcopy(content)
        for name, value in self.options.get("fields", {}).items():
            here, (*path, last) = changed, name.split(".")
            for part in path:
                here = here.setdefault(part, {})
            if value is None:
                here.pop(last, None)
            else:
                here[last] = value
        return changed


class Faults:
    """What is armed, in the order it was armed."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._count = 0

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._armed))

    def arm(
        self, name: str, *, provider: str = "", order: str = "", event: str = "", times: int = 1, **options: Any
    ) -> Fault:
        """Raise `UnknownFault`; `options` are the names in the texts of `KNOWN`."""
        if name not in KNOWN:
            raise UnknownFault(name)
        self._count += 1
        fault = Fault(self._count, name, provider, order, event, times, options)
        self._armed.append(fault)
        return fault

    def take(
        self,
        name: str,
        *,
        provider: str,
        orders: tuple[str, ...] = (),
        event: str = "",
        operation: str = "",
        is_main: bool = True,
    ) -> Fault | None:
        """The first armed fault that fits, with one of its times used up.

        Without `is_main`, only a fault that names its event fits.
        """
        for fault in self._armed:
            fits = fault.name == name and fault.provider in ("", provider)
            fits = fits and (not fault.order or fault.order in orders)
            fits = fits and (event.startswith(fault.event) if fault.event else is_main)
            fits = fits and fault.options.get("operation", operation) == operation
            if not fits:
                continue
            if fault.times:
                fault.times -= 1
                if not fault.times:
                    self._armed.remove(fault)
            return fault
        return None

    def clear(self, number: int | None = None) -> None:
        self._armed = [fault for fault in self._armed if number is not None and fault.id != number]
