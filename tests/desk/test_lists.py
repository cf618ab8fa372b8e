"""Every list, filter, search and row of the staff desk over a seeded business: it opens, with few queries."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from bench import desk, seed
from billing.audit.run import audit
from proxy.models import Generation
from tests.desk.labels import unlabelled

pytestmark = pytest.mark.django_db(transaction=True)

MOST_QUERIES = 22
MOST_OF_THE_FIRST_PAGE = 110
"""It has every panel's figures, kept for half a minute."""


@pytest.fixture
def business():
    seed.fill(customers=60, generations=1_000)


def test_the_seeded_books_are_right(business):
    assert audit().drifts == []
    with pytest.raises(SystemExit, match="has customers"):
        seed.fill(customers=1, generations=10)


def test_every_page_of_the_desk_opens_with_few_queries(business):
    staff = Client()
    staff.force_login(User.objects.create_superuser("desk@example.org", "a rather long one"))
    paths = list(desk.pages())
    assert len(paths) > 100
    nameless = {}
    for path in paths:
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            answer = staff.get(path)
        assert answer.status_code in (200, 302), path
        most = MOST_OF_THE_FIRST_PAGE if path.startswith("/admin/?") or path == "/admin/" else MOST_QUERIES
        assert len(captured) <= most, (path, [query["sql"][:150] for query in captured])
        if found := unlabelled(answer.content.decode()):
            nameless[path.partition("?")[0]] = found
    assert nameless == {}, "a screen reader cannot name these fields"


@pytest.mark.parametrize("state", Generation.State.values)
def test_a_list_of_requests_in_a_state_reads_an_index(business, state):
    rows = Generation.objects.filter(state=state).order_by("-id")[:50]
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        plan = rows.explain()
        cursor.execute("RESET enable_seqscan")
    assert "Seq Scan" not in plan, plan
