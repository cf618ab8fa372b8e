"""The description: a name, an example and the errors of each operation, and every example fits what it illustrates."""

import pytest
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from api.reference import completing, document
from api.reference.told import Told, operations


@pytest.fixture(scope="module")
def described() -> dict:
    return document.read()


def all_of(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_it_is_openapi_and_tells_of_each_operation_once(described):
    validate_schema(described)
    ids = [operation["operationId"] for _name, operation in all_of(described)]
    assert len(ids) == len(set(ids)) > 75
    assert set(operations()) <= set(ids), "examples.yaml tells of what there is not"


def test_every_operation_has_a_name_a_group_an_example_and_its_errors(described):
    for name, operation in all_of(described):
        assert operation["summary"], name
        assert operation["tags"][0] in {tag["name"] for tag in described["tags"]}, name
        errors = {status for status in operation["responses"] if status >= "400"}
        assert {"401", "403", "429", "500"} <= errors, name
        if name.startswith("POST /v1/") and "/models" not in name:
            assert "Idempotency-Key" in {one["name"] for one in operation["parameters"]} or "402" not in errors, name
        content = operation.get("requestBody", {}).get("content", {})
        for kind, shown in content.items():
            assert "example" in shown or kind == "multipart/form-data", name
        for kind, shown in answers(operation):
            assert kind != "application/json" or "example" in shown or shown["examples"], name


def answers(operation):
    for answer in operation["responses"].values():
        yield from answer.get("content", {}).items()


def test_every_example_fits_the_shape_that_it_illustrates(described):
    wrong, looked_at = [], 0
    for name, operation in all_of(described):
        asked = operation.get("requestBody", {}).get("content", {}).items()
        for kind, shown in (*asked, *answers(operation)):
            if kind != "application/json":
                continue
            check = Draft202012Validator({**shown["schema"], "components": described["components"]})
            examples = [one["value"] for one in shown.get("examples", {}).values()]
            for example in examples or [shown["example"]]:
                looked_at += 1
                wrong += [(name, list(fault.absolute_path), fault.message) for fault in check.iter_errors(example)]
    assert not wrong
    assert looked_at > 700


def test_an_operation_of_which_nothing_is_told_stops_the_description():
    there = {"paths": {"/v1/things": {"get": {"operationId": "things_list"}}}}
    with pytest.raises(LookupError, match="GET /v1/things"):
        completing.complete(there, None, None, True)


def test_an_example_that_does_not_fit_is_noticed(described):
    shape = {"$ref": "#/components/schemas/TopUp", "components": described["components"]}
    topup = operations()["topups_create"].answer["data"]
    assert not list(Draft202012Validator(shape).iter_errors(topup))
    assert list(Draft202012Validator(shape).iter_errors({**topup, "state": "lost"}))
    assert isinstance(operations()["keys_create"], Told)
