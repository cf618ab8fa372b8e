"""The desk lists usage that cannot be believed by upstream and day, as a page and as CSV."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import translation

from proxy.models import Claim, Model, Upstream
from proxy.prices.loading import load_catalog
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
LIST = reverse("admin:proxy_claim_changelist")
FIRST, SECOND = datetime(2026, 11, 2, 12, tzinfo=UTC), datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def listed() -> list[Claim]:
    """`g1` of `main` on one day, `g2` of it on the next, `g3` of `=other` on that day too."""
    places = [{"name": name, "protocol": "openai", "base_url": "http://127.0.0.1:1/v1"} for name in ("main", "=other")]
    model = {"id": "openai/m", "upstreams": ["main", "=other"], "price": {"input": "1", "output": "1"}}
    load_catalog({"upstreams": places, "models": [model]})
    made = []
    for name, upstream, at in (("g1", "main", FIRST), ("g2", "main", SECOND), ("g3", "=other", SECOND)):
        claim = Claim.objects.create(
            generation_id=name,
            model=Model.objects.get(),
            upstream=Upstream.objects.get(name=upstream),
            ended_at=at,
            why="window",
            claimed={"input_tokens": 123_456, "web_search": 2},
            stated_cost=Decimal("0.5"),
        )
        made.append(claim)
    return made


def test_they_are_found_by_upstream_and_day(listed):
    main, staff = listed[0].upstream_id, at_desk(in_role("finance"))

    def shown(query: str) -> set[str]:
        answer = staff.get(LIST + query)
        assert answer.status_code == 200
        return {claim.generation_id for claim in answer.context["cl"].queryset}

    assert shown("") == {"g1", "g2", "g3"}
    assert shown(f"?upstream__id__exact={main}") == {"g1", "g2"}
    assert shown("?day=2026-11-03") == {"g2", "g3"}
    assert shown(f"?upstream__id__exact={main}&day=2026-11-03") == {"g2"}
    assert shown("?day=2026-11-99") == {"g1", "g2", "g3"}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_each_tells_what_was_claimed_and_links_to_its_request(listed, language):
    with translation.override(language):
        page = at_desk(in_role("operator")).get(LIST, headers={"accept-language": language}).content.decode()
    assert "123,456" in page
    assert reverse("admin:proxy_generation_change", args=["g1"]) in page


def test_the_file_has_what_the_page_has_and_no_formula(listed):
    staff = at_desk(in_role("finance"))
    page = staff.get(LIST + "?day=2026-11-03").content.decode()
    assert "?day=2026-11-03&amp;csv=1" in page
    answer = staff.get(LIST + "?day=2026-11-03&csv=1")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert answer["Content-Type"].startswith("text/csv")
    assert lines[0] == "request,attempt,ended_at,upstream,model,why,claimed,stated_cost,posted"
    said = "openai/m,window,input_tokens=123456 web_search=2,0.50000000,"
    assert lines[1:] == [
        f"g3,,2026-11-03T12:00:00+00:00,'=other,{said}",
        f"g2,,2026-11-03T12:00:00+00:00,main,{said}",
    ]


def test_who_may_not_see_the_gateway_sees_no_claims(listed, django_user_model):
    nobody = django_user_model.objects.create_user("none@staff.example.org", "a rather long one", is_staff=True)
    for query in ("", "?csv=1"):
        assert at_desk(nobody).get(LIST + query).status_code in (302, 403)


@pytest.mark.parametrize("query", ["upstream__id__exact=abc", "nothing=1"])
def test_a_file_by_a_filter_that_cannot_be_is_the_list_instead(listed, query):
    answer = at_desk(in_role("finance")).get(f"{LIST}?csv=1&{query}")
    assert (answer.status_code, answer.headers["Location"]) == (302, LIST)
