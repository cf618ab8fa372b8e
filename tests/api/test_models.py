"""GET /v1/models: what there is to call, and what its provider gives up."""

from datetime import date

import pytest
from django.test import Client

from accounts.keys import issuing
from proxy.models import Model
from tests.conftest import NOW


@pytest.fixture
def api(customer):
    return Client(headers={"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"})


def test_a_model_that_its_provider_gives_up_says_when(api, catalog):
    Model.objects.filter(slug="openai/whisper-1").update(deprecated_on=date(2026, 11, 2), retired_on=date(2027, 1, 31))
    found = api.get("/v1/models/openai/whisper-1").json()
    assert (found["deprecated_on"], found["retired_on"]) == ("2026-11-02", "2027-01-31")
    assert not {"deprecated_on", "retired_on"} & api.get("/v1/models/openai/gpt-4.1-nano").json().keys()
