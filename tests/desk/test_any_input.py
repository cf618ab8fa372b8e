"""Whatever stands in an address of the desk or of a page, it is no failure of ours."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.staffing import at_desk

ODD = ["%00", "%ff", "9" * 40, "-1", "[]", "_00", "'", ""]
LISTS = [model._meta for model in sorted(admin.site._registry, key=lambda model: model._meta.label)]


@pytest.fixture
def desk(db) -> Client:
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    client = at_desk(chief)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("opts", LISTS, ids=lambda opts: opts.label)
def test_every_list_takes_every_search_filter_and_key(desk, opts):
    address = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    assert desk.get(address).status_code == 200
    number = LISTS.index(opts)
    for odd in ODD:
        for name in ("q", "id", "created_at__gte"):
            assert desk.get(f"{address}?{name}={odd}").status_code < 500, (name, odd)
        answer = desk.get(f"{address}{odd or 'x'}/change/")
        assert answer.status_code < 500, odd
    odd = ODD[number % len(ODD)]  # no list has its own of these
    for path in (f"?p={odd}", f"?nothing={odd}", f"{odd or 'x'}/history/"):
        assert desk.get(address + path).status_code < 500, path


@pytest.mark.parametrize("odd", ODD)
def test_every_page_takes_every_parameter(db, odd):
    client = Client(raise_request_exception=False)
    for path in ("/", "/models", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/api/schema/"):
        for name in ("q", "next", "page", "format", "lang", odd.strip("%") or "x"):
            assert client.get(f"{path}?{name}={odd}").status_code < 500, (path, name)
    for path in ("/accounts/confirm-email/{}/", "/accounts/password/reset/key/{}/", "/static/{}", "/{}"):
        assert client.get(path.format(odd or "x")).status_code < 500, path
