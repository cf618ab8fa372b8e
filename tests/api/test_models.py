"""GET /v1/models: what there is to call, and what its provider gives up."""

from datetime import date

import pytest
from django.test import Client

from accounts.keys import issuing
from proxy.models import Model, Upstream
from tests.conftest import NOW


@pytest.fixture
def api(customer):
    return Client(headers={"Authorization": f"Bearer {issuing.issue(customer=customer, name='k', now=NOW).text}"})


def test_a_model_that_its_provider_gives_up_says_when(api, catalog):
    Model.objects.filter(slug="openai/whisper-1").update(deprecated_on=date(2026, 11, 2), retired_on=date(2027, 1, 31))
    found = api.get("/v1/models/openai/whisper-1").json()
    assert (found["deprecated_on"], found["retired_on"]) == ("2026-11-02", "2027-01-31")
    assert not {"deprecated_on", "retired_on"} & api.get("/v1/models/openai/gpt-4.1-nano").json().keys()


@pytest.fixture
def anthropic_api(customer):
    key = issuing.issue(customer=customer, name="k", now=NOW).text
    return Client(headers={"x-api-key": key, "anthropic-version": "2023-06-01"})


def test_who_sends_anthropics_version_gets_anthropics_list_with_bare_names_too(anthropic_api, catalog):
    answer = anthropic_api.get("/v1/models?limit=1000")
    found = answer.json()
    ids = [model["id"] for model in found["data"]]
    assert {"openai/gpt-4.1-nano", "gpt-4.1-nano"} <= set(ids)
    assert ids == sorted(ids)
    assert (found["has_more"], found["first_id"], found["last_id"]) == (False, ids[0], ids[-1])
    assert answer["request-id"] == answer["x-request-id"]
    [one] = [model for model in found["data"] if model["id"] == "gpt-4.1-nano"]
    assert (one["type"], one["lifecycle"], bool(one["display_name"])) == ("model", "active", True)
    assert anthropic_api.get("/anthropic/v1/models/gpt-4.1-nano").json() == one


def test_anthropics_list_goes_on_where_it_stopped(anthropic_api, catalog):
    whole = [model["id"] for model in anthropic_api.get("/v1/models?limit=1000").json()["data"]]
    seen, page = [], {"has_more": True, "last_id": ""}
    while page["has_more"]:
        page = anthropic_api.get("/v1/models", {"limit": 2, "after_id": page["last_id"]}).json()
        seen += [model["id"] for model in page["data"]]
    assert seen == whole
    before = anthropic_api.get("/v1/models", {"limit": 2, "before_id": whole[3]}).json()
    assert ([model["id"] for model in before["data"]], before["has_more"]) == (whole[1:3], True)
    assert anthropic_api.get("/v1/models?limit=0").status_code == 400


@pytest.fixture
def gemini_api(customer):
    return Client(headers={"x-goog-api-key": issuing.issue(customer=customer, name="k", now=NOW).text})


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/gemini/v1beta/models", "/gemini/v1/models"])
def test_who_sends_googles_header_gets_geminis_list(gemini_api, catalog, path):
    Upstream.objects.update(protocol="gemini")
    found = gemini_api.get(path, {"pageSize": 1000}).json()["models"]
    [one] = [model for model in found if model["name"] == "models/openai/gpt-4.1-nano"]
    assert one["supportedGenerationMethods"] == ["generateContent", "streamGenerateContent", "countTokens"]
    assert one["displayName"]
    bare = gemini_api.get("/v1beta/models/gpt-4.1-nano").json()
    assert bare == {**one, "name": "models/gpt-4.1-nano", "baseModelId": "gpt-4.1-nano"}
    assert gemini_api.get("/v1beta/models/openai/gpt-4.1-nano").json() == one


def test_geminis_list_goes_on_where_it_stopped(gemini_api, catalog):
    whole = [model["name"] for model in gemini_api.get("/v1beta/models?pageSize=1000").json()["models"]]
    seen, page = [], {"nextPageToken": ""}
    while "nextPageToken" in page:
        page = gemini_api.get("/v1beta/models", {"pageSize": 2, "pageToken": page["nextPageToken"]}).json()
        seen += [model["name"] for model in page["models"]]
    assert seen == whole
    for path, status, code in (
        ("/v1beta/models?pageSize=0", "INVALID_ARGUMENT", 400),
        ("/v1/models/a/none", "NOT_FOUND", 404),
    ):
        error = gemini_api.get(path).json()["error"]
        assert (error["code"], error["status"], bool(error["message"])) == (code, status, True)
    assert Client().get("/v1beta/models").json()["error"]["status"] == "UNAUTHENTICATED"


CODEX_NEEDS = {
    *("slug", "display_name", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api", "priority"),
    *("base_instructions", "support_verbosity", "truncation_policy", "supports_parallel_tool_calls"),
    "experimental_supported_tools",
}


def test_codex_gets_a_catalog_of_the_models_that_write_by_their_ids(api, catalog):
    Model.objects.filter(slug="openai/gpt-4.1-nano").update(context_window=1_000_000, name="Nano")
    found = {model["slug"]: model for model in api.get("/v1/models?client_version=0.171.0").json()["models"]}
    assert set(found) == {"anthropic/claude-sonnet-4-6", "openai/gpt-4.1-nano"}
    nano = found["openai/gpt-4.1-nano"]
    assert nano.keys() >= CODEX_NEEDS
    assert (nano["display_name"], nano["context_window"], bool(nano["base_instructions"])) == ("Nano", 1_000_000, True)
    assert "context_window" not in found["anthropic/claude-sonnet-4-6"]
    assert "data" in api.get("/v1/models?client_version=").json()
