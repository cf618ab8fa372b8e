"""Whatever is sent to the account API, it answers in JSON, and no input is a failure of ours."""

import base64
import itertools
import json
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
from django.test import Client, override_settings
from drf_spectacular.generators import SchemaGenerator

from accounts.keys import issuing
from accounts.models import Customer, Membership, User
from accounts.people import inviting
from tests.conftest import NOW

ODD = [
    *("null", "true", "false", "0", "-1", "1.5", "1e400", "-1e400", "NaN", "Infinity", "9" * 30, "9" * 5000, '""'),
    *('"a"', '"1"', r'"\u0000"', r'"a\ud800"', '"' + "a" * 70_000 + '"', '"😀"', "[]", "[[]]", "[null]", "[1e400]"),
    *('["a"]', r'["\ud800"]', r'["\u0000"]', "{}", '{"a": 1}', "[" * 30 + "]" * 30, "[" * 3000 + "]" * 3000),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-13-45"', '"1e999999999"', '"NaN"'),
    *('"-0.00000000000000000001"', '"١٢"', '"sNaN"', "-" + "9" * 400 + ".5"),
]
"""One of every JSON type, and of every kind that some layer below chokes on."""
BODIES = [
    *("null", "1e400", "9" * 5000, '"a"', "[]", "[{}]", "{}", "[" * 30 + "]" * 30),
    *("", "{", "[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "\ufeff{}", "nul", '{"a": 1,}', "\x00"),
    *('{"\\u0000": 1}', '{"\\ud800": 1}', '{"amount": "1", "amount": {}}'),
]


@pytest.fixture
def api(transactional_db, customer, settings) -> Client:
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    settings.API_KEY_RPM = settings.API_CUSTOMER_RPM = settings.API_ADDRESS_RPM = 0
    settings.MOST_KEYS = 10_000
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["inference", "read", "keys", "billing"])
    return Client(headers={"Authorization": f"Bearer {key.text}"}, raise_request_exception=False)


@pytest.fixture
def paths(api, customer: Customer, make_budget: Callable) -> dict[str, str]:
    """What stands for each parameter in a path: a thing that there is."""
    other = issuing.issue(customer=customer, name="other", now=NOW)
    person = User.objects.create_user("grace@example.org")
    member = Membership.objects.create(user=person, customer=customer)
    invited = inviting.invite(customer=customer, email="eve@example.org", role="viewer", by=None, now=NOW)
    return {
        "budget_id": str(make_budget("1").budget.pk),
        "month": "2026-10",
        "key_id": str(other.key.pk),
        "member_id": str(member.pk),
        "invitation_id": str(invited.pk),
        "delivery": "none",
        "number": "none",
        "model_id": "openai/m",
    }


class Operation(NamedTuple):
    method: str
    path: str
    fields: dict
    """The schema of the body's."""
    query: dict


@cache
def operations() -> list[Operation]:
    """Of the whole account API."""
    schema, found = SchemaGenerator().get_schema(public=True), []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            component = schema["components"]["schemas"].get(body.get("$ref", "").rpartition("/")[2], {})
            query = {item["name"]: item for item in operation.get("parameters", []) if item["in"] == "query"}
            found.append(Operation(method.upper(), path, component.get("properties", {}), query))
    return found


def group(path: str) -> str:
    """`keys` of `/v1/keys/{key_id}`, `usage` of `/v1/usage.csv`."""
    return path.split("/")[2].partition(".")[0]


def check(answer, *told) -> None:
    assert answer.status_code < 500, told
    if answer.status_code == 200 and answer.streaming:
        assert b"".join(answer.streaming_content).startswith(b"settled_at,"), told
    elif answer.status_code != 204:
        assert answer["Content-Type"].startswith("application/json"), told
    if answer.status_code >= 400:
        error = json.loads(answer.content)["error"]
        assert error["message"], told
        assert error["type"], told
        assert error["code"], told


GROUPS = [
    *(
        "account",
        "alerts",
        "auto-topup",
        "budgets",
        "credits",
        "generation",
        "invitations",
        "invoice-requests",
        "key",
        "keys",
    ),
    *("members", "models", "refund-requests", "statements", "topups", "transactions", "usage", "webhooks"),
]
WITH_FIELDS = [
    *(
        ("PATCH", "/v1/account"),
        ("PUT", "/v1/alerts"),
        ("PUT", "/v1/auto-topup"),
        ("POST", "/v1/budgets"),
        ("POST", "/v1/invitations"),
    ),
    *(("POST", "/v1/invoice-requests"), ("POST", "/v1/keys"), ("PATCH", "/v1/keys/{key_id}")),
    *(("POST", "/v1/keys/{key_id}/rotate"), ("PATCH", "/v1/members/{member_id}"), ("POST", "/v1/refund-requests")),
    *(("POST", "/v1/topups"), ("POST", "/v1/webhooks"), ("PATCH", "/v1/webhooks/{number}")),
]


def test_all_of_the_api_is_tried():
    assert {group(operation.path) for operation in operations()} == set(GROUPS)
    taking = [operation for operation in operations() if operation.fields]
    assert [(operation.method, operation.path) for operation in taking] == WITH_FIELDS
    assert (len(operations()) > 40, sum(len(operation.fields) for operation in taking) > 60) == (True, True)


@pytest.mark.parametrize("name", GROUPS)
def test_every_operation_takes_every_body(api, paths, name):
    """What reads no body gets every fourth."""
    those = [operation for operation in operations() if group(operation.path) == name]
    for number, (method, path, fields, _query) in enumerate(those):
        for body in BODIES if fields or method == "POST" else BODIES[number % 4 :: 4]:
            data = body.encode("utf-8", "surrogatepass")
            answer = api.generic(method, path.format(**paths), data, content_type="application/json")
            check(answer, method, path, body[:60])
    assert those


@pytest.mark.parametrize(("method", "path"), WITH_FIELDS)
def test_every_field_takes_every_type(api, paths, method, path):
    """One that a POST reads the same gets every third of the PATCH."""
    [fields] = [operation.fields for operation in operations() if operation[:2] == (method, path)]
    post = ("POST", path.rpartition("/{")[0])
    made = next((operation.fields for operation in operations() if operation[:2] == post), {})
    for number, field in enumerate(fields):
        step = 3 if method == "PATCH" and field in made else 1
        for odd in ODD[number % step :: step]:
            given = {"name": '"n"', "amount": '"1.00"', "method": '"stripe"', "reason": '"r"', "company_name": '"c"'}
            given = {name: value for name, value in given.items() if name in fields} | {field: odd}
            body = "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}"
            answer = api.generic(method, path.format(**paths), body, content_type="application/json")
            check(answer, method, path, field, odd[:60])
    assert fields


@pytest.mark.parametrize(("method", "path"), WITH_FIELDS)
def test_a_field_that_there_is_not_is_refused_with_the_nearest_that_there_is(api, paths, method, path):
    [fields] = [operation.fields for operation in operations() if operation[:2] == (method, path)]
    if path == "/v1/webhooks/{number}":
        paths |= endpoint(api)
    longest = max(fields, key=len)
    slip = json.dumps({longest + "x": 1})
    error = api.generic(method, path.format(**paths), slip, content_type="application/json").json()["error"]
    assert (error["code"], error["param"]) == ("validation_error", longest + "x")
    assert error["message"].endswith(f"There is no such field. Did you mean `{longest}`?")
    far = json.dumps({"~": 1})
    error = api.generic(method, path.format(**paths), far, content_type="application/json").json()["error"]
    assert (error["param"], "mean" in error["message"]) == ("~", False)


def endpoint(api: Client) -> dict[str, str]:
    body = {"url": "http://127.0.0.1:9/hook"}
    with override_settings(ALLOW_PRIVATE_WEBHOOKS=True):
        made = api.post("/v1/webhooks", body, content_type="application/json")
    return {"number": made.json()["data"]["id"]}


def test_what_takes_no_body_refuses_fields(api, paths):
    paths |= endpoint(api)
    tried = []
    for method, path, fields, _query in operations():
        if method in ("POST", "PATCH", "PUT") and not fields:
            answer = api.generic(method, path.format(**paths), '{"a": 1}', content_type="application/json")
            if answer.status_code != 404:  # what it is about is none here
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "a"), path
                tried.append(path)
    assert tried == ["/v1/webhooks/{number}/rotate", "/v1/webhooks/{number}/test"]


def test_what_changes_something_refuses_what_it_would_not_read(api, paths):
    """A body with DELETE, which no client has to send, and parameters in the address."""
    paths |= endpoint(api)
    for method, path, _fields, query in operations():
        if method == "GET":
            continue
        nearest = f" Did you mean `{max(query, key=len)}`?" if query else ""
        slip = (max(query, key=len) if query else "colou") + "r"
        answer = api.generic(method, f"{path.format(**paths)}?{slip}=1", "{}", content_type="application/json")
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, slip), path
        assert error["message"] == f"{slip}: There is no such parameter.{nearest}"
        if method == "DELETE":
            answer = api.generic(method, path.format(**paths), '{"keep": ["1"]}', content_type="application/json")
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "keep"), path
    for path in ("/v1/keys/{key_id}", "/v1/webhooks/{number}"):
        answer = api.delete(path.format(**paths), content_type="application/json")
        assert answer.status_code == 204, "nothing was done before, and a type of nothing is no body"


VALUES = [
    *(
        "",
        "a",
        "-1",
        "0",
        "%00",
        "p=abc",
        "%ff",
        "%ed%a0%80",
        "9" * 40,
        "1e400",
        "NaN",
        "b",
        "b-1",
        "bx",
        "[]",
        "é",
    ),
    *(base64.b64encode(text).decode() for text in (b"p=abc", b"p=%00", b"p=\0", b"p=-1", b"p=" + b"9" * 40, b"p=\xff")),
    *(base64.b64encode(text).decode() for text in (b"o=99999999999999999999", b"r=1&p=", b"", b"p=1&p=2", b"\xff")),
]
OTHERS = ("cursor", "limit", "id", "group_by", "from", "to", "format", "page")


def test_every_list_takes_every_parameter(api, paths):
    """Those it has with every value, those of others with every fourth."""
    lists = [(path.format(**paths), query) for method, path, _fields, query in operations() if method == "GET"]
    for number, (path, query) in enumerate(lists):
        asked = [(name, value) for name in query for value in VALUES]
        asked += [(name, value) for name in OTHERS if name not in query for value in VALUES[number % 4 :: 4]]
        for name, value in asked:
            check(api.get(f"{path}?{name}={value}"), path, name, value)


def test_a_cursor_of_nobodys_is_refused_by_name(api, paths):
    cursor = base64.b64encode(b"p=abc").decode()
    for path in ("/v1/topups", "/v1/keys", "/v1/refund-requests", "/v1/invoice-requests", "/v1/transactions"):
        for wrong in (cursor, "p=abc", "%00"):
            answer = api.get(f"{path}?cursor={wrong}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_a_cursor_of_ours_leads_on(api, customer):
    for number in range(3):
        issuing.issue(customer=customer, name=str(number), now=NOW)
    first = api.get("/v1/keys?limit=2").json()
    assert [key["name"] for key in first["data"]] == ["2", "1"]
    assert [key["name"] for key in api.get(first["next"]).json()["data"]] == ["0", "k"]


KINDS = [
    *("application/json; charset=utf-16", "application/json; charset=zip", "application/json; charset=hex"),
    *(
        "application/json; charset=undefined",
        "application/json; charset=nonsense",
        "application/json; charset=idna",
    ),
    *("text/plain", "application/x-www-form-urlencoded; charset=hex", "multipart/form-data", "", "é", "a/b/c;;;="),
    "multipart/form-data; boundary=x; charset=zip",
]


def test_every_type_of_body_is_answered(api):
    bodies = (b'{"name": "n"}', b"\x00\xff", b'{"name": "\xff"}', b"--x\r\n")
    for kind, path, body in itertools.product(KINDS, ("/v1/topups", "/v1/keys", "/v1/refund-requests"), bodies):
        check(api.generic("POST", path, body, content_type=kind), path, kind, body)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded; charset=hex", "multipart/form-data; charset=zip"])
def test_a_form_is_read_whatever_codec_it_names(api, kind):
    assert api.generic("POST", "/accounts/login/", b"login=a&password=b", content_type=kind).status_code < 500
    assert api.get("/models?q=a", content_type="text/html; charset=undefined").status_code == 200


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "X-Goog-Api-Key", "Idempotency-Key", "Accept", "Host"])
def test_every_header_is_answered(api, name):
    values = ("é", "\xff", "Bearer é", "a" * 5000, "*/*;q=x", "text/html", ";", "ck-" + "é" * 32)
    places = (("/v1/credits", "GET"), ("/v1/keys", "POST"), ("/v1/nothing", "GET"))
    for value, (path, method) in itertools.product(values, places):
        check(
            api.generic(method, path, b"{}", content_type="application/json", headers={name: value}), path, name, value
        )


def test_numbers_of_things_beyond_any_are_not_found(api):
    for path in ("/v1/keys/{}", "/v1/topups/{}", "/v1/refund-requests/{}", "/v1/invoice-requests/{}/cancel"):
        for number in ("9" * 30, "9" * 5000, "0", "%00", "%ff", "😀", "a" * 5000):
            answer = api.get(path.format(number))
            assert answer.status_code in (404, 405), (path, number[:30])
            check(answer)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/keys?a=%00", "/v1/credits", "/v1/key/info%00", "/v1beta/x%00"])
def test_a_page_of_an_error_that_fails_is_json_too(api, settings, debug, path):
    settings.DEBUG = debug
    for headers in ({"Host": "[::1"}, {"Host": "a:b:c"}, {"Host": ""}, {"Cookie": 'sessionid="abcdefgh\\000"'}):
        for kind in ("multipart/form-data; boundary=\xff", "application/x-www-form-urlencoded", "a/b"):
            check(api.generic("POST", path, b"--x", content_type=kind, headers=headers), path, headers, kind)
