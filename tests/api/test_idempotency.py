"""`Idempotency-Key`: one effect and one answer per key, whatever repeats, races or crashes."""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

import pytest
from django.db import connection, transaction
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, IdempotentAnswer
from api.common.base import ApiError
from api.common.idempotency import LIFETIME, Claim, run_once
from core.crypto import decrypt
from tests.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def post(
    key: str | None = "order-1", body: object = None, *, path: str = "/v1/things", method: str = "post"
) -> Request:
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    made = getattr(APIRequestFactory(), method)(path, json.dumps(body), content_type="application/json", **headers)
    return Request(made, parsers=[JSONParser()])


@dataclass
class Shop:
    """A POST that makes an API key, the way the account API's views do it."""

    customer: Customer
    status: int = 201
    seconds: float = 0
    crash: str = ""
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def act(self, claim: Claim) -> Response:
        with self.lock:
            self.calls += 1
        with transaction.atomic():
            issued = issuing.issue(customer=self.customer, name="thing", now=NOW).key
            claim.bind(str(issued.pk))
            if self.crash == "before the commit":
                raise RuntimeError(self.crash)
        time.sleep(self.seconds)
        if self.crash == "after the commit":
            raise RuntimeError(self.crash)
        if self.status >= HTTPStatus.BAD_REQUEST:
            raise ApiError("no", status=self.status, code="odd")
        return Response({"id": issued.pk, "secret": "plain-text"}, status=self.status)

    def show(self, reference: str) -> Response:
        return Response({"id": int(reference), "shown": True}, status=201)

    def ask(self, request: Request, *, now=NOW) -> Response:
        return run_once(request, customer=self.customer, now=now, act=self.act, show=self.show)


@pytest.fixture
def shop(customer: Customer) -> Shop:
    return Shop(customer)


def made() -> int:
    return ApiKey.objects.filter(name="thing").count()


def test_the_same_key_and_body_return_the_first_answer(shop):
    first, second = (shop.ask(post(body={"a": 1, "b": 2})) for _ in range(2))
    reordered = shop.ask(post(body={"b": 2, "a": 1}))
    assert first.data == second.data == reordered.data
    assert (second.status_code, shop.calls, made()) == (201, 1, 1)


def test_the_same_key_with_another_body_is_409(shop):
    shop.ask(post(body={"a": 1}))
    with pytest.raises(ApiError) as refused:
        shop.ask(post(body={"a": 2}))
    assert (refused.value.status_code, refused.value.get_codes(), made()) == (409, "idempotency_conflict", 1)


def test_without_a_key_each_request_counts(shop):
    for key in (None, None, "", ""):
        shop.ask(post(key))
    assert made() == 4
    assert IdempotentAnswer.objects.count() == 0


def test_a_key_belongs_to_one_customer_method_and_path(shop, make_customer):
    shop.ask(post())
    shop.ask(post(path="/v1/others"))
    shop.ask(post(method="put"))
    Shop(make_customer(name="Eve")).ask(post())
    assert made() == 4


def test_a_key_is_free_again_after_24_hours(shop):
    shop.ask(post())
    shop.ask(post(), now=NOW + LIFETIME - timedelta(seconds=1))
    assert made() == 1
    shop.ask(post(body="another"), now=NOW + LIFETIME + timedelta(seconds=1))
    assert made() == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_answer_that_asks_for_a_second_try_is_not_stored(shop, status):
    shop.status = status
    with pytest.raises(ApiError):
        shop.ask(post())
    assert IdempotentAnswer.objects.count() == 0
    shop.status = 201
    assert shop.ask(post()).status_code == 201


def test_a_refusal_is_stored_and_comes_again_in_the_same_words(shop):
    shop.status = 400
    with pytest.raises(ApiError):
        shop.ask(post())
    shop.status = 201
    again = shop.ask(post())
    assert (again.status_code, again.data["error"]["code"], again.data["error"]["message"]) == (400, "odd", "no")
    assert shop.calls == 1


def test_a_crash_before_the_commit_leaves_neither_row_nor_key(shop):
    shop.crash = "before the commit"
    with pytest.raises(RuntimeError):
        shop.ask(post())
    assert (made(), IdempotentAnswer.objects.count()) == (0, 0)
    shop.crash = ""
    assert shop.ask(post()).status_code == 201


def test_a_crash_after_the_commit_is_answered_from_the_row_that_was_made(shop):
    shop.crash = "after the commit"
    with pytest.raises(RuntimeError):
        shop.ask(post())
    shop.crash = ""
    later = shop.ask(post(), now=NOW + timedelta(minutes=1))
    assert later.data == {"id": ApiKey.objects.get(name="thing").pk, "shown": True}
    assert (shop.calls, made()) == (1, 1)


def in_threads(*acts) -> None:
    def run(act):
        try:
            act()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_twins_wait_and_all_get_the_one_answer(shop):
    shop.seconds, answers = 0.4, []
    in_threads(*[lambda: answers.append(shop.ask(post())) for _ in range(8)])
    assert len(answers) == 8
    assert {json.dumps(answer.data) for answer in answers} == {json.dumps(answers[0].data)}
    assert made() == 1


def test_a_concurrent_request_with_another_body_is_409_at_once(shop):
    shop.seconds, refused = 1.0, []

    def other():
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(ApiError) as error:
            shop.ask(post(body="another"))
        refused.append((error.value.status_code, time.monotonic() - began < 0.7))

    in_threads(lambda: shop.ask(post()), other)
    assert refused == [(409, True)]
    assert made() == 1


def test_keys_and_answers_are_not_readable_in_the_database(shop):
    shop.ask(post("my-order"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(a)::text FROM accounts_idempotentanswer a")
        [(row,)] = cursor.fetchall()
    assert "my-order" not in row
    assert "plain-text" not in row
    assert "plain-text" in decrypt(IdempotentAnswer.objects.get().body)


@pytest.mark.parametrize("body", [10**30, "\ud800", {"a": [None, 1.5, "锤"]}, None, float("inf")])
def test_odd_bodies_are_told_apart_like_any_other(shop, body):
    request = post(body="first")
    request._full_data = body  # what a lenient parser may hand over
    shop.ask(request)
    with pytest.raises(ApiError):
        shop.ask(post(body="second"))


def test_an_overlong_key_is_400(shop):
    with pytest.raises(ApiError) as refused:
        shop.ask(post("x" * 256))
    assert (refused.value.status_code, made()) == (400, 0)
