"""What is posted, how a receiver knows it for ours, and what follows each answer."""

import json
from datetime import timedelta

import pytest
from django.core import mail as sent
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.models import Membership, User
from billing.models import Event
from billing.outbox import mail
from tests.webhooks.conftest import add, low, only, work
from webhooks import claiming, deliveries, endpoints
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.tasks import deliver, tidy

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


def test_a_fact_is_posted_as_its_get_showed_it_then_and_signed_as_standard_webhooks_are(
    client, customer, wallet, key, receiver
):
    made = add(customer, receiver, wanted=["balance.low"])
    low(customer)
    shown = client.get("/v1/credits", headers={"Authorization": f"Bearer {key.text}"}).json()["data"]
    type(wallet).objects.filter(pk=wallet.pk).update(bonus=3)
    assert work() == 1
    [post] = receiver.taken
    body = Webhook(made.secret).verify(post.body, post.headers)
    fact = Event.objects.get(kind="balance.low")
    assert body == {"type": "balance.low", "timestamp": body["timestamp"], "data": shown}
    assert body["timestamp"] == fact.created_at.isoformat().replace("+00:00", "Z")
    assert (post.path, post.headers["content-type"]) == ("/hook", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(post.body + b" ", post.headers)
    assert only().state == State.DELIVERED
    assert work() == 0


def test_an_endpoint_gets_what_it_asked_for_of_its_own_account_alone(make_customer, customer, receiver):
    add(customer, receiver, path="/low", wanted=["balance.low"])
    add(customer, receiver, path="/keys", wanted=["key.created", "key.ended"])
    other = make_customer()
    add(other, receiver, path="/other")
    low(customer)
    assert (work(), [post.path for post in receiver.taken]) == (1, ["/hook/low"])


def test_what_was_true_before_an_endpoint_was_made_is_not_sent_to_it(customer, receiver, endpoint):
    Endpoint.objects.update(created_at=timezone.now())
    low(customer, now=timezone.now() - timedelta(seconds=10))
    assert (work(), receiver.taken) == (0, [])


def test_what_fails_comes_again_by_the_schedule_under_one_id_and_is_given_up_after_the_last(
    customer, receiver, endpoint
):
    receiver.status = 500
    now = timezone.now()
    low(customer, now=now)
    for wait in (*claiming.RETRIES, None):
        assert work(now - timedelta(seconds=1)) == 0
        assert work(now) == 1
        row = only()
        assert row.send_at == (None if wait is None else now + wait)
        now += wait or timedelta()
        Endpoint.objects.update(failing_since=None)  # three days are another test's
    assert [str(wait) for wait in claiming.RETRIES] == [
        *("0:00:05", "0:05:00", "0:30:00", "2:00:00", "5:00:00", "10:00:00", "14:00:00", "18:00:00", "22:00:00")
    ]
    assert (row.state, row.attempts, len(receiver.taken)) == (State.FAILED, 10, 10)
    assert len({post.headers["webhook-id"] for post in receiver.taken}) == 1
    assert len({post.body for post in receiver.taken}) == 1
    assert work(now + timedelta(days=9)) == 0


@pytest.mark.parametrize("status", [100, 199, 301, 302, 400, 404, 429, 500, 503])
def test_what_is_not_2xx_is_no_delivery(customer, receiver, endpoint, status):
    receiver.status = status
    if status < 200:
        receiver.answer = lambda handler: handler.wfile.write(f"HTTP/1.1 {status} x\r\n\r\n".encode())
    low(customer)
    assert (work(), only().state) == (1, State.WAITING)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_a_delivery(customer, receiver, endpoint, status):
    receiver.status = status
    low(customer)
    assert (work(), only().state) == (1, State.DELIVERED)


def test_a_redirect_is_not_followed(customer, receiver, endpoint):
    def redirect(handler):
        handler.send_response(307)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answer = redirect
    low(customer)
    work()
    assert [post.path for post in receiver.taken] == ["/hook"]
    assert Attempt.objects.get().status == 307


def test_410_ends_the_endpoint_at_once_and_its_owners_are_told(customer, user, receiver, endpoint):
    viewer = User.objects.create_user("eve@example.org", "a rather long one")
    Membership.objects.create(user=viewer, customer=customer, role="viewer")
    receiver.status = 410
    first, second = low(customer), low(customer)
    work()
    endpoint.refresh_from_db()
    assert (endpoint.off_why, endpoint.is_active) == (Endpoint.Off.GONE, False)
    assert not Delivery.objects.filter(state=State.WAITING).exists(), (first, second)
    low(customer)
    assert work(timezone.now() + timedelta(days=1)) == 0
    mail.send_due(now=timezone.now())
    [letter] = [m for m in sent.outbox if "webhook endpoint" in m.subject]
    assert letter.to == [user.email]
    assert "410" in letter.body
    assert f"/console/webhooks/{endpoint.number}" in letter.body


def test_an_endpoint_whose_every_delivery_failed_for_three_days_is_switched_off(customer, user, receiver, endpoint):
    receiver.status = 500
    began = timezone.now()
    low(customer, now=began)
    work(began)
    low(customer, now=began)
    three_days = began + timedelta(days=3)
    work(three_days - timedelta(seconds=1))
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.is_active) == (began, True)
    work(three_days + timedelta(hours=1))
    endpoint.refresh_from_db()
    assert (endpoint.off_why, endpoint.is_active) == (Endpoint.Off.FAILING, False)
    assert {row.state for row in Delivery.objects.all()} == {State.DROPPED}
    mail.send_due(now=timezone.now() + timedelta(days=4))
    [letter] = [m for m in sent.outbox if "webhook endpoint" in m.subject]
    assert "failed for 3 days" in letter.body


def test_the_sweeper_switches_off_what_nothing_is_tried_at_any_more(customer, receiver, endpoint):
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=3))
    tidy()
    endpoint.refresh_from_db()
    assert endpoint.off_why == Endpoint.Off.FAILING


def test_one_delivery_in_three_days_keeps_an_endpoint_on(customer, receiver, endpoint):
    began = timezone.now()
    receiver.statuses = [500, 200]
    receiver.status = 500
    for days in (0, 2, 4):
        low(customer, now=began)
        work(began + timedelta(days=days))
    endpoint.refresh_from_db()
    assert endpoint.is_active
    assert endpoint.failing_since > began + timedelta(days=1)


def test_after_a_rotation_both_secrets_sign_for_a_day(customer, receiver, made):
    new = endpoints.rotate(made.endpoint, now=timezone.now())
    low(customer)
    work()
    for secret in (made.secret, new):
        assert Webhook(secret).verify(receiver.taken[0].body, receiver.taken[0].headers)
    low(customer)
    work(timezone.now() + timedelta(hours=24, minutes=1))
    post = receiver.taken[1]
    assert Webhook(new).verify(post.body, post.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(post.body, post.headers)


def test_a_replay_is_signed_anew_under_the_same_id(customer, receiver, made):
    low(customer)
    work()
    first = receiver.taken[0]
    deliveries.send_again(only(), now=timezone.now())
    assert work(timezone.now() + timedelta(seconds=1)) == 1
    second = receiver.taken[1]
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert Webhook(made.secret).verify(second.body, second.headers)
    assert (only().state, only().tries.count()) == (State.DELIVERED, 2)


def test_what_is_given_up_may_be_sent_again_from_the_beginning(customer, receiver, endpoint):
    low(customer)
    work()
    Delivery.objects.update(state=State.FAILED, attempts=10)
    receiver.status = 500
    deliveries.send_again(only(), now=timezone.now())
    work(timezone.now() + timedelta(seconds=1))
    assert (only().state, only().attempts) == (State.WAITING, 1)


def test_nothing_is_sent_again_to_an_endpoint_that_is_off(customer, receiver, endpoint):
    low(customer)
    work()
    endpoints.change(endpoint, active=False, now=timezone.now())
    with pytest.raises(deliveries.NotSent, match="Switch it on first"):
        deliveries.send_again(only(), now=timezone.now())


def test_a_test_delivery_is_tried_once_and_says_nothing_of_the_endpoint(receiver, made):
    receiver.status = 500
    deliveries.send_test(made.endpoint, now=timezone.now() - timedelta(seconds=1))
    work()
    assert (only().state, Endpoint.objects.get().failing_since) == (State.FAILED, None)
    body = Webhook(made.secret).verify(receiver.taken[0].body, receiver.taken[0].headers)
    assert (body["type"], body["data"]) == ("webhook.test", {"endpoint": made.endpoint.number})


def test_what_waits_is_not_sent_once_its_endpoint_is_off_or_deleted(customer, receiver, endpoint):
    receiver.status = 500
    low(customer)
    work()
    endpoints.delete(endpoint, now=timezone.now())
    assert (only().state, only().send_at) == (State.DROPPED, None)
    endpoint.refresh_from_db()
    assert (endpoint.secret, endpoint.old_secret) == ("", "")
    low(customer)
    assert work(timezone.now() + timedelta(days=1)) == 0


def test_what_was_under_way_when_its_endpoint_was_switched_off_is_delivered_if_it_arrived(customer, receiver, endpoint):
    def switch_off(handler):
        endpoints.change(endpoint, active=False, now=timezone.now())
        handler.send_response(204)
        handler.end_headers()

    receiver.answer = switch_off
    low(customer)
    work()
    assert only().state == State.DELIVERED


def test_deliveries_are_forgotten_after_a_month_and_deleted_endpoints_with_them(customer, receiver, endpoint):
    old = timezone.now() - deliveries.KEPT - timedelta(minutes=1)
    for _each in range(3):
        low(customer)
    work()
    Delivery.objects.filter(pk__in=list(Delivery.objects.values_list("pk", flat=True)[:2])).update(created_at=old)
    assert deliveries.forget(now=timezone.now(), limit=1) == 1
    tidy()
    assert (Delivery.objects.count(), Attempt.objects.count(), Endpoint.objects.count()) == (1, 1, 1)
    endpoints.delete(endpoint, now=old)
    Delivery.objects.update(created_at=old)
    tidy()
    assert (Delivery.objects.count(), Endpoint.objects.count()) == (0, 0)


def test_the_task_delivers_by_the_databases_clock(customer, receiver, endpoint):
    low(customer)
    deliver()
    assert json.loads(receiver.taken[0].body)["type"] == "balance.low"
