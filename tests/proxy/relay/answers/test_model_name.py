"""An answer names the model as its caller did, where its route has another name for it."""

import pytest

from proxy.prices.loading import load_catalog
from tests.proxy.conftest import catalog, wait_for
from tests.spoken import RESPONSES, each_protocol
from tests.spoken_responses import response

NAMES = {"model", "modelVersion"}


def named(said: object) -> set[object]:
    """What it calls the model, wherever."""
    if isinstance(said, dict):
        return {said[name] for name in NAMES & said.keys()}.union(*map(named, said.values()))
    return set[object]().union(*map(named, said)) if isinstance(said, list) else set()


@each_protocol
@pytest.mark.parametrize("name", ["openai/m", "m"])
def test_a_renamed_model_is_told_by_the_name_that_was_asked_for(gateway, upstream, spoken, name):
    asked = {"model": name} if "model" in spoken.asked else {}
    path = spoken.path.replace("/openai/m:", f"/{name}:")
    answer = gateway.client.post(path, json={**spoken.asked, **asked})
    assert named(answer.json()) == {name}
    place = spoken.place(stream=True).replace("/openai/m:", f"/{name}:")
    with gateway.client.stream("POST", place, json={**spoken.body(stream=True), **asked}) as response:
        text = response.read().decode()
    assert named(spoken.events_in(text)) == {name}
    assert b"m-2026" not in text.encode() + answer.content
    assert "one two three" in "".join(map(spoken.words_of, spoken.events_in(text)))


@each_protocol
@pytest.mark.parametrize("name", ["openai/m", "m"])
def test_where_the_route_has_the_same_name_an_answer_says_what_its_upstream_does(gateway, upstream, spoken, name):
    load_catalog(catalog(upstream, upstream_model=name))
    gateway.look_at_catalog()
    assert named(gateway.chat().json()) == {"m-2026"}
    with gateway.stream() as response:
        assert named(spoken.events_in(response.read().decode())) == {"m-2026"}
    assert wait_for("metered").cost


@each_protocol
def test_a_plain_answer_says_what_its_upstream_does(gateway, spoken):
    assert named(gateway.chat(headers={"X-Chuizi-Body": "plain"}).json()) == {"m-2026"}


@pytest.mark.parametrize("spoken", [RESPONSES], ids=str)
def test_what_is_kept_is_told_by_the_models_name_here(gateway, upstream, spoken):
    upstream.keeps = True
    gateway.chat()
    wait_for("metered")
    kept = "/v1/responses/resp_theirs"
    assert named(gateway.client.get(kept).json()) == {"openai/m"}
    with gateway.client.stream("GET", kept, params={"stream": "true"}) as answer:
        said = spoken.events_in(answer.read().decode())
    assert (named(said), "one two three" in "".join(map(spoken.words_of, said))) == ({"openai/m"}, True)
    assert named(gateway.client.get(kept, headers={"X-Chuizi-Body": "plain"}).json()) == {"m-2026"}
    listed = {"object": "list", "data": [], "has_more": False}
    upstream.json = listed
    assert gateway.client.get(f"{kept}/input_items").json() == listed


@pytest.mark.parametrize("spoken", [RESPONSES], ids=str)
def test_what_is_kept_of_a_model_of_the_same_name_is_told_as_its_upstream_does(gateway, upstream, spoken):
    load_catalog(catalog(upstream, upstream_model="m"))
    gateway.look_at_catalog()
    upstream.keeps = True
    gateway.chat()
    wait_for("metered")
    assert named(gateway.client.get("/v1/responses/resp_theirs").json()) == {"m-2026"}


@pytest.mark.parametrize("spoken", [RESPONSES], ids=str)
def test_a_job_is_told_by_the_name_that_was_asked_for_from_its_first_answer_on(gateway, upstream, spoken):
    upstream.json = response(status="queued", output=[], usage=None)
    assert named(gateway.chat(background=True, model="m").json()) == {"m"}
