"""The desk finds attempts at upstreams by the request, by the upstream's id for it, and by what nobody knows."""

import pytest
from django.urls import reverse

from proxy.models import Attempt, Generation, Upstream
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
LIST = reverse("admin:proxy_attempt_changelist")


@pytest.fixture
def one(make_request) -> Generation:
    """A request with two attempts beside it, of which nobody knows what the second used."""
    made: Generation = make_request()
    for number, outcome, request_id in ((1, "refused", "req_1"), (2, "timed_out", "")):
        Attempt.objects.create(
            generation_id=made.pk,
            number=number,
            model=made.model,
            upstream=Upstream.objects.get(),
            ended_at=made.created_at,
            outcome=outcome,
            upstream_request_id=request_id,
            is_known=False,
        )
    return made


def test_they_are_found_by_either_id_and_by_what_nobody_knows(one):
    staff = at_desk(in_role("operator"))

    def shown(query: str) -> set[int]:
        answer = staff.get(LIST + query)
        assert answer.status_code == 200
        return {attempt.number for attempt in answer.context["cl"].queryset}

    assert shown("") == shown(f"?q={one.pk}") == {1, 2}
    assert shown("?q=req_1") == {1}
    assert shown("?q=req") == set()
    assert shown("?unknown=1") == {2}


def test_a_request_links_to_its_attempts(one):
    staff, page = at_desk(in_role("operator")), reverse("admin:proxy_generation_change", args=[one.pk])
    assert f'href="{LIST}?q={one.pk}">2</a>' in staff.get(page).content.decode()
    Attempt.objects.all().delete()
    assert f"{LIST}?q=" not in staff.get(page).content.decode()
