"""What is learned is one row a customer and model, whichever process adds to it, and whatever a stranger does."""

import threading
from time import monotonic

import pytest
from django.db import connection

from proxy.learning import rows
from proxy.learning.guess import Lesson
from proxy.models import Learned, WarmPrompt

pytestmark = pytest.mark.django_db
MODEL = 5


def lesson(
    customer: int = 1,
    *,
    ratio: int = 250_000,
    session: int = 9,
    age: float = 0,
    output: int = 500,
    typical: bool = True,
) -> Lesson:
    """Of a prompt of a million bytes."""
    return Lesson(customer, MODEL, session, 1_000_000, ratio, ratio * 9 // 10, output, typical, monotonic() - age)


def ratio_of(customer: int = 1):
    found, _ = rows.find([(customer, MODEL)], [])
    return found[customer, MODEL]


def test_of_many_answers_each_counts_a_sixteenth_and_of_two_the_half():
    for ratio in (200_000, 280_000):
        rows.write([lesson(ratio=ratio)])
    known = ratio_of()
    assert (known.ratio, known.ratio_spread, known.requests) == (240_000, 40_000, 2)
    rows.write([lesson(ratio=240_000)] * 98)
    rows.write([lesson(ratio=256_000)])
    assert ratio_of().ratio == pytest.approx(241_000, abs=5)


def test_many_at_once_move_it_as_far_as_one_by_one():
    rows.write([lesson(ratio=200_000)])
    rows.write([lesson(ratio=280_000)] * 50)
    assert ratio_of().ratio == pytest.approx(280_000, rel=0.01)
    assert ratio_of().requests == 51


def test_one_absurd_answer_among_many_moves_it_little():
    rows.write([lesson(ratio=250_000)] * 20)
    rows.write([lesson(ratio=1_000_000)])
    assert ratio_of().ratio <= 320_000
    rows.write([lesson(ratio=1)])
    assert ratio_of().ratio >= 250_000
    rows.write([lesson(ratio=250_000)] * 40)
    assert ratio_of().careful < 300_000, "and it is forgotten"


def test_an_answer_that_tells_nothing_of_others_moves_nothing_but_what_is_warm():
    rows.write([lesson(typical=False)])
    assert not Learned.objects.exists()
    assert WarmPrompt.objects.count() == 1


def test_the_newest_prompt_of_a_session_is_the_one_in_the_cache_however_late_others_are_written():
    rows.write([lesson(ratio=300_000, age=10), lesson(ratio=200_000, age=20)])
    rows.write([lesson(ratio=100_000, age=15)])
    _, warm = rows.find([], [(1, MODEL, 9), (2, MODEL, 9)])
    [found] = warm.values()
    assert (found.tokens, found.readable) == (300_000, 270_000)
    assert found.age == pytest.approx(10, abs=5)


def test_what_most_customers_need_holds_for_a_new_one_and_one_of_them_moves_it_not():
    for customer in range(1, 5):
        rows.write([lesson(customer, ratio=250_000)] * 5)
    assert rows.general() == {}, "four are too few"
    rows.write([lesson(5, ratio=10)] * 5)
    assert rows.general()[MODEL].ratio == 250_000
    rows.write([lesson(6, ratio=260_000)] * 5)
    rows.write([lesson(7, ratio=1_000_000)] * 4)
    assert rows.general()[MODEL].ratio == 260_000, "whoever asked less than five times teaches nobody"


def test_what_is_old_is_forgotten():
    rows.write([lesson()])
    assert rows.tidy() == 0
    WarmPrompt.objects.update(seen_at="2026-01-01T00:00Z")
    Learned.objects.update(seen_at="2026-01-01T00:00Z")
    assert rows.tidy() == 2


@pytest.mark.django_db(transaction=True)
def test_processes_that_teach_the_same_rows_neither_wait_for_ever_nor_lose_anything():
    def teach(order: int) -> None:
        for _ in range(20):
            rows.write([lesson(customer, ratio=250_000) for customer in range(1, 9)][::order])
        connection.close()

    threads = [threading.Thread(target=teach, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert list(Learned.objects.values_list("requests", "ratio").distinct()) == [(40, 250_000)]
