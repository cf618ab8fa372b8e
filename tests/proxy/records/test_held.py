"""How a hold came about stands on the receipt, at the desk and in the API."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.staffing import at_desk, in_role

GROWN = [
    [800, "input", "-0.03000000", "0.03457500"],
    [12_340, "output", "0.02000000", "0.05457500"],
    [15_000, "usage", "0.01000000", "0.06457500"],
]


@pytest.fixture
def cut(make_request):
    return make_request(hold_changes=GROWN, settlement_reason="insufficient_balance")


def page(client: Client, address: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get(address).content.decode()))


def test_the_receipt_tells_each_change_and_where_the_answer_was_ended(browser_client, cut):
    text = page(browser_client, f"/console/usage/{cut.pk}")
    assert "Held when it left $0.06457500" in text
    assert "+0.8 s: the provider told what the input used -$0.03000000" in text
    assert "+12.3 s: the answer grew longer than was held for +$0.02000000" in text
    assert "Held in the end $0.06457500" in text
    assert (
        "After 500 tokens, 2.45 s after the request, the $0.06457500 that were held for it were used up by our count"
        in text
    )


BY = {"id": "1", "limit": "5.00000000", "charged": "4.00000000", "held": "0.95000000", "resets_at": None}


@pytest.mark.parametrize(
    ("reason", "by", "says", "helps"),
    [
        ("insufficient_balance", None, "The balance did not cover more of the answer", "Top up, and ask again"),
        ("budget_exhausted", {"of": "budget", "id": "1"}, "The budget that its key spends from", "Make another budget"),
        (
            "daily_limit_exceeded",
            {**BY, "of": "key", "period": "day", "resets_at": "2026-12-01T16:00:00Z"},
            "Its key may spend $5.00000000 a day. $4.00000000 were charged and $0.95000000 held",
            "Raise the key's cap, and ask again for the rest. It begins anew on 2026-12-01 16:00 UTC.",
        ),
        (
            "key_limit_exceeded",
            {**BY, "of": "key", "period": "total"},
            "Its key may spend $5.00000000 in all.",
            "Raise",
        ),
        ("key_limit_exceeded", None, "A cap left no room", "Raise the key's cap"),
        (
            "member_limit_exceeded",
            {**BY, "of": "member", "period": "week"},
            "The member who made its key may spend $5.00000000 a week with all keys together.",
            "An owner may raise the member's cap.",
        ),
    ],
)
def test_the_receipt_and_the_api_name_what_ended_an_answer(
    browser_client, client, key, make_request, reason, by, says, helps
):
    made = make_request(hold_changes=GROWN, settlement_reason=reason, ended_by=by)
    text = page(browser_client, f"/console/usage/{made.pk}").replace("&#x27;", "'")
    assert says in text
    assert helps in text
    assert ("Top up, and" in text) == (reason == "insufficient_balance")
    answer = client.get(f"/v1/generation?id={made.pk}", headers={"Authorization": f"Bearer {key.text}"})
    data = answer.json()["data"]
    assert (data["settlement_reason"], data["ended_by"]) == (reason, by)
    assert says in page(at_desk(in_role("operator")), reverse("admin:proxy_generation_change", args=[made.pk]))


def test_a_receipt_of_a_request_whose_hold_stayed_says_so_much_and_no_more(browser_client, make_request):
    text = page(browser_client, f"/console/usage/{make_request().pk}")
    assert "Held when it left $0.06457500" in text
    assert "So much it could cost at most" in text
    assert "Held in the end" not in text
    assert "was ended there" not in text


def test_a_hold_below_the_bound_is_told_as_such(browser_client, make_request):
    text = page(browser_client, f"/console/usage/{make_request(held='0.02').pk}")
    assert "Held when it left $0.02000000" in text
    assert "less than the $0.06457500 that it could cost at most" in text


def test_the_desk_tells_the_same(cut):
    staff = at_desk(in_role("operator"))
    text = page(staff, reverse("admin:proxy_generation_change", args=[cut.pk]))
    assert "$0.06457500 held at first" in text
    assert "+0.8 s: -$0.03000000 = $0.03457500 (the provider told what the input used)" in text
    assert "No more could be held, so the answer was ended." in text


def test_the_api_tells_the_changes_as_amounts_and_milliseconds(client, cut, key):
    answer = client.get(f"/v1/generation?id={cut.pk}", headers={"Authorization": f"Bearer {key.text}"})
    data = answer.json()["data"]
    assert (data["held"], data["bound"]) == ("0.06457500", "0.06457500")
    assert data["hold_changes"][0] == {
        "after_ms": 800,
        "reason": "input",
        "amount": "-0.03000000",
        "held": "0.03457500",
        "bound": "-0.03000000",
    }
    assert [change["reason"] for change in data["hold_changes"]] == ["input", "output", "usage"]
    assert data["guess"] is None


def test_the_api_tells_how_the_estimate_came_about(client, make_request, key):
    guess = {"by": "vocabulary", "input": 41_000, "cached": 38_000, "output": 900, "cost": "0.02"}
    made = make_request(held="0.02", guess=guess)
    answer = client.get(f"/v1/generation?id={made.pk}", headers={"Authorization": f"Bearer {key.text}"})
    assert answer.json()["data"]["guess"] == guess


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("learned", "your prompts to this model"),
        ("counted", "the prompt's count"),
        ("vocabulary", "with the model's vocabulary"),
    ],
)
def test_a_guess_is_told_with_its_tokens(browser_client, make_request, by, says):
    guess = {"by": by, "input": 41_000, "cached": 38_000, "output": 900, "estimate": "0.02"}
    made = make_request(held="0.02", guess=guess)
    told = "41,000 tokens, 38,000 of them from the cache, and 900 of output"
    for text in (
        page(browser_client, f"/console/usage/{made.pk}"),
        page(at_desk(in_role("operator")), reverse("admin:proxy_generation_change", args=[made.pk])),
    ):
        assert says in text.replace("&#x27;", "'")
        assert told in text


@pytest.mark.parametrize("guess", [{}, [], {"by": "x"}, {"by": "learned"}, "x"])
def test_a_guess_of_another_version_spoils_no_receipt(browser_client, make_request, guess):
    assert browser_client.get(f"/console/usage/{make_request(guess=guess).pk}").status_code == 200
