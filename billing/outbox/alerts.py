"""Somebody is told: what turns red on the desk's first page goes out once, daily while it stays, and once when it ends.

By mail to ALERT_EMAILS and by a POST to ALERT_WEBHOOK, signed as Standard Webhooks are
(https://www.standardwebhooks.com): `{"type", "timestamp", "data": {"figure", "value", "since", "page"}}`, where the
type is `alert.red`, `alert.still_red`, `alert.green` or `alert.test`. At least once: deduplicate by `webhook-id`.
"""

import base64
import json
import logging
import secrets
from datetime import datetime, timedelta

import requests
from django.conf import settings
from django.db import transaction
from django.utils import translation
from standardwebhooks import Webhook

from billing.models import Alert, AlertPost, Event
from billing.outbox import events, mail, readers, turns
from billing.outbox.kinds import Fact
from core import panels
from core.crypto import keyed_hash
from core.outside import outside

log = logging.getLogger(__name__)
AGAIN_AFTER = timedelta(days=1)
RETRIES = turns.Retries(first=timedelta(seconds=10), slowest=timedelta(hours=1), most=40)
POST_SECONDS = 10.0
READER = "alert posts"
SUBJECTS: dict[str, str] = {
    Fact.ALERT_RED: "RED: {figure}",
    Fact.ALERT_STILL_RED: "still red: {figure}",
    Fact.ALERT_GREEN: "green again: {figure}",
    Fact.ALERT_TEST: "test: {figure}",
}


def watch(*, now: datetime) -> int:
    """Compare the first page's figures with the open alerts; return how many messages were written.

    Figures are known by their English words, whatever language anybody reads them in.
    """
    with translation.override("en"):
        red = {f"{panel.title} / {figure.label}"[:200]: figure for panel, figure in panels.red_figures()}
    told = 0
    with transaction.atomic():
        alerts = {a.code: a for a in Alert.objects.select_for_update(no_key=True).filter(ended_at__isnull=True)}
        for code, figure in red.items():
            alert = alerts.get(code)
            if alert is None:
                made, is_new = Alert.objects.get_or_create(
                    code=code, ended_at=None, defaults={"value": figure.value[:200], "link": figure.link, "since": now}
                )
                told += _tell(Fact.ALERT_RED, made, now=now) if is_new else 0
            else:
                alert.value, alert.link = figure.value[:200], figure.link
                alert.save(update_fields=["value", "link"])
                if alert.told_at is None or alert.told_at <= now - AGAIN_AFTER:
                    told += _tell(Fact.ALERT_STILL_RED, alert, now=now)
        for code, alert in alerts.items():
            if code not in red:
                alert.ended_at = now
                alert.save(update_fields=["ended_at"])
                told += _tell(Fact.ALERT_GREEN, alert, now=now)
    return told


def test(*, now: datetime) -> int:
    """Write one message of each way; return how many."""
    alert = Alert(code="Test / Nothing is wrong", value="0", link="/admin/", since=now)
    with transaction.atomic():
        return _write(Fact.ALERT_TEST, alert, now=now, key=f"alert:test:{secrets.token_hex(12)}")


def _tell(kind: Fact, alert: Alert, *, now: datetime) -> int:
    Alert.objects.filter(pk=alert.pk).update(told_at=now)
    log.warning("%s %s: %s", kind, alert.code, alert.value)
    return _write(kind, alert, now=now, key=f"alert:{alert.pk}:{kind.step}")


def _write(kind: Fact, alert: Alert, *, now: datetime, key: str) -> int:
    page = f"{settings.SITE_URL}{alert.link}" if alert.link.startswith("/") else alert.link
    figure = {"figure": alert.code, "value": alert.value, "since": _moment(alert.since), "page": page}
    data = {"message_id": f"msg_{secrets.token_hex(12)}", "data": figure}
    again = kind == Fact.ALERT_STILL_RED
    events.record(kind, key=key, subject=f"alert:{alert.pk or 'test'}", data=data, now=now, may_come_again=again)
    return len(settings.ALERT_EMAILS) + bool(settings.ALERT_WEBHOOK)


def letter(event: Event) -> mail.Letter:
    """What the operator is mailed."""
    data = event.data["data"]
    body = "\n".join((f"{data['figure']}: {data['value']}", f"since {data['since']}", "", data["page"], "", "Chuizi"))
    to = list(dict.fromkeys(settings.ALERT_EMAILS))
    return mail.Letter(to=to, about="alert", subject=SUBJECTS[event.kind].format(figure=data["figure"]), body=body)


def read(event: Event) -> None:
    """Put a post into the list, if the operator takes any."""
    if settings.ALERT_WEBHOOK:
        body = {"type": event.kind, "timestamp": _moment(event.created_at), "data": event.data["data"]}
        AlertPost.objects.create(
            message_id=event.data["message_id"],
            body=json.dumps(body),
            created_at=event.created_at,
            send_at=event.created_at,
        )


def post_due(*, now: datetime, limit: int = 20) -> int:
    """Write what facts tell and post what is waiting; return how many arrived. No transaction is open while the other
    side works.
    """
    readers.read(READER, now=now)
    arrived = 0
    for post in turns.due(AlertPost.objects.all(), RETRIES, now=now, limit=limit):
        problem = _post(post, now=now)
        sent = {} if problem else {"sent_at": now, "send_at": None}
        AlertPost.objects.filter(pk=post.pk).update(problem=problem, **sent)
        arrived += not problem
    return arrived


def _post(post: AlertPost, *, now: datetime) -> str:
    """What went wrong, "" where nothing did."""
    signature = Webhook(secret()).sign(post.message_id, now, post.body)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": post.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    try:
        with (
            outside(),
            requests.post(
                settings.ALERT_WEBHOOK,
                data=post.body.encode(),
                headers=headers,
                timeout=POST_SECONDS,
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            return "" if answer.status_code < 300 else f"answered {answer.status_code}"
    except requests.RequestException as error:
        log.warning("an alert was not posted: %s", type(error).__name__)
        return type(error).__name__


def secret() -> str:
    """What signs: ALERT_WEBHOOK_SECRET, else one derived from FIELD_ENCRYPTION_KEY; `check_alerts` shows it."""
    if settings.ALERT_WEBHOOK_SECRET:
        return str(settings.ALERT_WEBHOOK_SECRET)
    return "whsec_" + base64.b64encode(bytes.fromhex(keyed_hash("alerts", purpose="webhook"))).decode()


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
