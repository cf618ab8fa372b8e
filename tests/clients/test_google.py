"""Google's own client before the running whole, with the settings that docs/api.md gives."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.running import Running

MODEL = "google/gemini-2.5-flash"
ASKED = "What is a ledger?"
LOOK = types.FunctionDeclaration(
    name="look", description="Look.", parameters=types.Schema(type=types.Type.OBJECT, properties={})
)


@pytest.fixture(scope="module")
def new_key(running: Running) -> str:
    """Of a customer of its own, with the welcome credit: nobody else's balance moves."""
    made = running.manage("create_customer", "--email", "google@example.com")
    assert made.returncode == 0, made.stderr
    return running.manage("issue_key", "--email", "google@example.com", "--name", "a").stdout.splitlines()[-1]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, running: Running, new_key: str) -> dict[str, Any]:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the tests' own: nothing at all is trusted
        monkeypatch.delenv(name, raising=False)
    return {"api_key": new_key, "http_options": {"base_url": running.url, "retry_options": {"attempts": 1}}}


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[genai.Client]:
    with genai.Client(**options) as client:
        yield client


def test_an_answer_names_its_request(client):
    answer = client.models.generate_content(model=MODEL, contents=ASKED, config={"max_output_tokens": 60})
    assert "sandbox model" in answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert answer.usage_metadata.candidates_token_count == 60
    assert answer.sdk_http_response.headers["x-generation-id"].startswith("gen-")


def test_a_stream_says_the_same_and_tells_what_it_used(client):
    config = {"max_output_tokens": 40}
    pieces = list(client.models.generate_content_stream(model=MODEL, contents=ASKED, config=config))
    whole = client.models.generate_content(model=MODEL, contents=ASKED, config=config)
    assert "".join(piece.text or "" for piece in pieces) == whole.text
    assert len(pieces) > 2
    assert pieces[-1].usage_metadata.candidates_token_count == 40


def test_a_function_is_called_and_its_result_answered(client):
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[LOOK], google_search=types.GoogleSearch())],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),
    )
    called = client.models.generate_content(model=MODEL, contents=ASKED, config=config)
    assert called.sdk_http_response.headers["x-chuizi-removed"] == "googleSearch"
    [call] = called.function_calls
    assert call.name == "look"
    said = called.candidates[0].content
    assert said.parts[0].thought_signature
    result = types.Part.from_function_response(name="look", response={"result": "A book."})
    turns = [types.UserContent(ASKED), said, types.UserContent([result])]
    assert client.models.generate_content(model=MODEL, contents=turns, config=config).text


def test_a_structured_answer_is_what_was_described(client):
    schema = {"type": "OBJECT", "properties": {"answer": {"type": "STRING"}}}
    config = {"response_mime_type": "application/json", "response_schema": schema}
    assert client.models.generate_content(model=MODEL, contents=ASKED, config=config).parsed == {"answer": "yes"}


def test_thoughts_pictures_and_a_chat_of_two_turns(client):
    config = {"thinking_config": {"include_thoughts": True, "thinking_budget": 100}}
    chat = client.chats.create(model=MODEL, config=config)
    first = chat.send_message(ASKED)
    assert [bool(part.thought) for part in first.candidates[0].content.parts] == [True, False]
    assert first.usage_metadata.thoughts_token_count > 0
    picture = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    second = chat.send_message(["And this?", picture])
    assert second.usage_metadata.cached_content_token_count > 0


def test_tokens_vectors_and_the_list_of_models(client):
    assert client.models.count_tokens(model=MODEL, contents=ASKED).total_tokens > 0
    made = client.models.embed_content(model="google/gemini-embedding-001", contents=["one", "two"])
    assert [len(one.values) for one in made.embeddings] == [8, 8]
    names = [model.name for model in client.models.list(config={"page_size": 3})]
    assert f"models/{MODEL}" in names
    assert client.models.get(model=MODEL).supported_actions == [
        "generateContent",
        "streamGenerateContent",
        "countTokens",
    ]


@pytest.mark.parametrize(
    ("asked", "code", "status"),
    [
        ({"model": "google/none"}, 404, "NOT_FOUND"),
        ({"config": {"cached_content": "cachedContents/a"}}, 400, "INVALID_ARGUMENT"),
        ({"config": {"http_options": {"extra_body": {"sandbox": {"fault": "500"}}}}}, 502, "INTERNAL"),
        ({"config": {"http_options": {"extra_body": {"sandbox": {"fault": "429"}}}}}, 503, "UNAVAILABLE"),
    ],
)
def test_errors_are_the_clients_own_kinds(client, asked, code, status):
    with pytest.raises(errors.APIError) as caught:
        client.models.generate_content(**{"model": MODEL, "contents": ASKED, **asked})
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
def test_the_async_client_does_the_same_also_under_its_own_root(options, running):
    async def ask() -> tuple[str, str]:
        told = {**options, "http_options": {"base_url": f"{running.url}/gemini", "api_version": "v1beta"}}
        async with genai.Client(**told).aio as client:
            whole = await client.models.generate_content(model=MODEL, contents=ASKED, config={"max_output_tokens": 20})
            said = ""
            async for piece in await client.models.generate_content_stream(
                model=MODEL, contents=ASKED, config={"max_output_tokens": 20}
            ):
                said += piece.text or ""
            return str(whole.text), said

    whole, said = asyncio.run(ask())
    assert whole == said != ""
