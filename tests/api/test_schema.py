"""The schema lists the gateway's paths: each with a request that it takes, an answer, and errors in its own shape."""

import orjson
import pytest
import yaml
from drf_spectacular.validation import validate_schema

from api.calling import schema
from proxy.gateway.routes import ROUTES, Routes
from proxy.protocols.endpoint import Asked
from tests.proxy.protocols.seam.toys import ToyChat

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
