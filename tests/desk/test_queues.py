"""A queue of a list leaves what waits, and everything where none or an unknown one is chosen."""

import pytest
from django.urls import reverse

from proxy.models import Generation
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("chosen", "is_narrowed"), [("?flagged=1", True), ("", False), ("?flagged=2", False)])
def test_a_queue_leaves_what_waits(make_request, chosen, is_narrowed):
    waiting, other = make_request(), make_request()
    Generation.objects.filter(pk=waiting.pk).update(is_flagged=True)
    page = at_desk(in_role("operator")).get(reverse("admin:proxy_generation_changelist") + chosen, follow=True)
    found = {row.pk for row in page.context["cl"].result_list}
    assert found == ({waiting.pk} if is_narrowed else {waiting.pk, other.pk})
