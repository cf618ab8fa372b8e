"""The schema lists the gateway's paths: each with a request that it takes, an answer, and errors in its own shape."""

from decimal import Decimal

import orjson
import pytest
import yaml
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from api.calling import schema
from api.webhooks import schema as webhooks
from billing.outbox import objects
from payments.disputes.facts import shown
from payments.models import Dispute
from proxy.gateway.routes import ROUTES, Routes
from proxy.protocols.endpoint import Asked
from tests.conftest import NOW
from tests.proxy.protocols.seam.toys import ToyChat
from webhooks.kinds import EVENTS, TEST

SHOWN = [(path, method, endpoint) for path, routes in ROUTES.shown() for method, endpoint in routes.items()]


@pytest.mark.parametrize(("path", "method", "endpoint"), SHOWN, ids=[f"{one[1]} {one[0]}" for one in SHOWN])
def test_each_path_takes_the_request_of_its_example(path, method, endpoint):
    example = schema.examples()[path]
    if "form" in example:
        assert endpoint.takes_forms
        return
    said, place = example.get("request", {}), example.get("place", {})
    call = endpoint.read(Asked(orjson.dumps(said) if said else b"", place, {}))
    if said:
        assert call.model == {"model": "omni-moderation-latest", **said, **place}["model"]


def test_a_route_without_an_example_and_an_example_without_a_route_are_noticed():
    with pytest.raises(LookupError, match="/toy/chat"):
        schema.paths(Routes([ToyChat()]))
    assert set(schema.examples()) == {path for path, _routes in ROUTES.shown()}


def test_the_schema_is_one_and_tells_of_errors_as_each_protocol_has_them(client, db):
    document = yaml.safe_load(client.get("/api/schema/").content)
    validate_schema(document)
    assert {path for path, _routes in ROUTES.shown()} <= set(document["paths"])
    for path, method, endpoint in SHOWN:
        told = document["paths"][path][method.lower()]
        assert told["security"] == [{"key": []}]
        assert ("402" in told["responses"]) is endpoint.holds
    [chat, message, generate] = [
        document["paths"][path]["post"]["responses"]["503"]["content"]["application/json"]["example"]
        for path in ("/v1/chat/completions", "/v1/messages", "/v1beta/models/{model}:generateContent")
    ]
    assert chat["error"]["code"] == "provider_unavailable"
    assert (message["type"], message["error"]["type"]) == ("error", "overloaded_error")
    assert generate["error"]["status"] == "UNAVAILABLE"


def test_each_event_of_webhooks_stands_there_with_a_payload_that_fits(client, db, customer):
    document = yaml.safe_load(client.get("/api/schema/").content)
    assert document["openapi"].startswith("3.1")
    assert set(document["webhooks"]) == {*EVENTS, TEST}
    for event, path in document["webhooks"].items():
        said = path["post"]["requestBody"]["content"]["application/json"]
        assert said["example"]["type"] == event
        assert event in path["post"]["summary"]
        schema = {**said["schema"], "components": document["components"]}
        problems = [error.message for error in Draft202012Validator(schema).iter_errors(said["example"])]
        assert not problems, f"{event}: {problems}"
        name = said["schema"]["properties"]["data"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][name]["properties"]) == set(said["example"]["data"]), event


def test_what_has_no_get_is_told_as_it_is_posted(customer):
    spent = objects.Budget("key", "1", "k", "day", 80, Decimal(1), Decimal(1), None)
    dispute = Dispute(customer=customer, amount=Decimal(1), currency="USD", opened_at=NOW)
    posted = {"SpentShare": objects.budget(spent), "OpenedDispute": shown(dispute)}
    posted |= {"SuspendedAccount": objects.account(customer), "TestPost": {"endpoint": ""}}
    assert {name: set(said["properties"]) for name, said in webhooks.schemas().items()} == {
        name: set(data) for name, data in posted.items()
    }
