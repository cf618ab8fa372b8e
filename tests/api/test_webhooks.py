"""/v1/webhooks: an owner's programs make endpoints, look at what was posted, and have it posted again."""

import base64
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Membership, User
from billing.outbox import readers
from tests.conftest import NOW
from tests.webhooks.conftest import low
from webhooks import claiming, posting
from webhooks.kinds import EVENTS
from webhooks.models import Delivery, Endpoint

URL = "https://93.184.216.34/hook"


@pytest.fixture(autouse=True)
def _in_public(settings):
    settings.ALLOW_PRIVATE_WEBHOOKS = False


@pytest.fixture
def api(key):
    client = Client(headers={"Authorization": f"Bearer {key.text}"})

    def call(method: str, path: str, data: object = None, **headers: str):
        given = {} if data is None else {"data": data}
        return getattr(client, method)(path, **given, content_type="application/json", headers=headers)

    return call


@pytest.fixture
def made(api):
    answer = api("post", "/v1/webhooks", {"url": URL})
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


@pytest.fixture
def delivery(customer, made) -> Delivery:
    """One that failed once."""
    Endpoint.objects.update(created_at=NOW + timedelta(seconds=1))
    low(customer)
    now = timezone.now()
    readers.read("webhooks", now=now)
    [claim] = claiming.claim(now=now, limit=9)
    claiming.finish(claim, posting.Answer(500, "", "oh no", 12), now=now)
    return Delivery.objects.get()


def test_a_new_endpoints_secret_stands_in_the_answer_and_nowhere_else(api, made):
    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    secret = made.pop("secret")
    assert made | {"created_at": ""} == {
        **{"id": made["id"], "url": URL, "events": list(EVENTS), "description": "", "is_active": True},
        **{"off_reason": None, "off_since": None, "failing_since": None, "created_at": ""},
        **{"made_by": None, "known_to": None, "rotate_by": None},
    }
    assert api("get", f"/v1/webhooks/{made['id']}").json()["data"] == made
    assert api("get", "/v1/webhooks").json() == {"data": [made], "next": None, "previous": None}
    stored = Endpoint.objects.raw("SELECT id, number, secret::text AS kept FROM webhooks_endpoint")[0].kept
    assert secret not in stored


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"url": "https://127.0.0.1/x"}, "url"),
        ({"url": "http://93.184.216.34/"}, "url"),
        ({"url": None}, "url"),
        ({"url": 7}, "url"),
        ({"url": "https://" + "a" * 3000}, "url"),
        ({"events": []}, "events"),
        ({"events": ["no.such"]}, "events.0"),
        ({"events": "topup.paid"}, "events"),
        ({"description": "x" * 201}, "description"),
        ({"secret": "mine"}, "secret"),
        ({"evnets": ["topup.paid"]}, "evnets"),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused_and_named(api, made, change, param):
    for answer in (
        api("post", "/v1/webhooks", {"url": URL} | change),
        api("patch", f"/v1/webhooks/{made['id']}", change),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
        assert answer.json()["error"]["param"].startswith(param.split(".")[0])
    assert Endpoint.objects.count() == 1


def test_an_account_has_at_most_ten_endpoints(api, made):
    for _each in range(9):
        assert api("post", "/v1/webhooks", {"url": URL}).status_code == 201
    answer = api("post", "/v1/webhooks", {"url": URL})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "state_conflict")
    assert api("delete", f"/v1/webhooks/{made['id']}").status_code == 204
    assert api("post", "/v1/webhooks", {"url": URL}).status_code == 201


def test_the_same_idempotency_key_makes_one_endpoint_and_tells_its_secret_again(api):
    first, second = (
        api("post", "/v1/webhooks", {"url": URL}, **{"Idempotency-Key": "k"}).json()["data"] for _turn in range(2)
    )
    assert first == second
    assert Endpoint.objects.count() == 1
    rotated = [
        api("post", f"/v1/webhooks/{first['id']}/rotate", **{"Idempotency-Key": "r"}).json()["data"]["secret"]
        for _turn in range(2)
    ]
    assert rotated[0] == rotated[1] != first["secret"]


def test_what_is_patched_changes_and_the_rest_stays(api, made):
    path = f"/v1/webhooks/{made['id']}"
    data = api("patch", path, {"events": ["key.ended", "topup.paid"], "description": "till"}).json()["data"]
    assert (data["events"], data["description"], data["url"]) == (["topup.paid", "key.ended"], "till", URL)
    data = api("patch", path, {"is_active": False}).json()["data"]
    assert (data["is_active"], data["off_reason"], data["events"]) == (False, "owner", ["topup.paid", "key.ended"])
    Endpoint.objects.update(failing_since=NOW, off_why="failing")
    data = api("patch", path, {"is_active": True, "url": URL + "/2"}).json()["data"]
    assert (data["is_active"], data["off_reason"], data["failing_since"], data["url"]) == (True, None, None, URL + "/2")


def test_deliveries_show_what_was_posted_and_what_came_back(api, made, delivery):
    [shown] = api("get", f"/v1/webhooks/{made['id']}/deliveries").json()["data"]
    [attempt] = shown["attempts"]
    assert (shown["id"], shown["webhook_id"]) == (delivery.number, delivery.message_id)
    assert (shown["event"], shown["state"], shown["request"]["type"]) == ("balance.low", "waiting", "balance.low")
    assert (attempt["status"], attempt["problem"], attempt["response"], attempt["duration_ms"]) == (
        *(500, None, "oh no"),
        12,
    )
    assert shown["next_attempt_at"] > attempt["at"]


def test_a_delivery_is_sent_again_at_once(api, made, delivery):
    Delivery.objects.update(state="failed", send_at=None, attempts=10)
    path = f"/v1/webhooks/{made['id']}/deliveries/{delivery.number}/replay"
    data = api("post", path).json()["data"]
    assert (data["state"], data["webhook_id"], len(data["attempts"])) == ("waiting", delivery.message_id, 1)
    assert len(claiming.claim(now=timezone.now(), limit=9)) == 1
    api("patch", f"/v1/webhooks/{made['id']}", {"is_active": False})
    answer = api("post", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "state_conflict")


def test_a_test_delivery_waits_for_the_worker(api, made):
    answer = api("post", f"/v1/webhooks/{made['id']}/test")
    assert (answer.status_code, answer.json()["data"]["event"]) == (201, "webhook.test")
    assert Delivery.objects.get().is_test


def test_another_accounts_endpoints_and_deliveries_are_not_there(make_customer, made, delivery):
    other = issuing.issue(customer=make_customer(), name="k", now=NOW)
    client = Client(headers={"Authorization": f"Bearer {other.text}"})
    path = f"/v1/webhooks/{made['id']}"
    assert client.get("/v1/webhooks").json()["data"] == []
    for answer in (
        client.get(path),
        client.delete(path),
        client.patch(path, {}, content_type="application/json"),
        client.get(f"{path}/deliveries"),
        client.post(f"{path}/rotate"),
        client.post(f"{path}/test"),
        client.post(f"{path}/deliveries/{delivery.number}/replay"),
    ):
        assert answer.status_code == 404
    assert Endpoint.objects.of(Endpoint.objects.get().customer_id).exists()


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_webhooks_are_the_owners(customer, role):
    person = User.objects.create_user("eve@example.org", "a rather long one")
    Membership.objects.create(user=person, customer=customer, role=role)
    key = issuing.issue(customer=customer, name="k", now=NOW, created_by=person, scopes=["read", "billing"])
    client = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert client.get("/v1/webhooks").json()["error"]["code"] == "key_not_allowed"
