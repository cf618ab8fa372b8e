"""From a request to its settlement, on the running whole."""

import time
from decimal import Decimal

import httpx2 as httpx
from openai import OpenAI

from tests.running import Running


def settled(running: Running, generation_id: str, *, seconds: float = 5) -> dict:
    """The generation's record once it is settled; at most 5 s after its answer."""
    deadline = time.monotonic() + seconds
    with running.client() as client:
        while True:
            data = client.get("/v1/generation", params={"id": generation_id}).json()["data"]
            if data["status"] == "settled":
                return data
            assert time.monotonic() < deadline, f"{data['status']} after {seconds} s"
            time.sleep(0.1)


def balance(running: Running) -> Decimal:
    with running.client() as client:
        return Decimal(client.get("/v1/credits").json()["data"]["balance"])


def test_a_request_is_held_forwarded_and_settled_within_five_seconds(running):
    before = balance(running)
    with OpenAI(base_url=f"{running.url}/v1", api_key=running.key) as client:
        answer = client.chat.completions.create(
            model="openai/gpt-4.1-nano", messages=[{"role": "user", "content": "What is a ledger?"}], max_tokens=60
        )
    assert answer.choices[0].message.content
    record = settled(running, answer.id)
    assert record["cost"] == answer.x_chuizi["cost"]
    assert record["input_tokens"] == answer.usage.prompt_tokens
    assert balance(running) == before - Decimal(record["cost"])


def test_a_streamed_request_settles_too(running):
    with OpenAI(base_url=f"{running.url}/v1", api_key=running.key) as client:
        chunks = list(
            client.chat.completions.create(
                model="claude-sonnet-4-6",
                messages=[{"role": "user", "content": "用一句话介绍你自己"}],
                max_tokens=60,
                stream=True,
            )
        )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    record = settled(running, chunks[-1].id)
    assert record["streamed"]
    assert record["cost"] == chunks[-1].x_chuizi["cost"]


def test_a_customer_made_on_the_command_line_can_call_at_once(running):
    for _ in range(2):
        assert running.manage("create_customer", "--email", "dev@example.com").returncode == 0
    key = running.manage("issue_key", "--email", "dev@example.com", "--name", "ci").stdout.splitlines()[-1]
    with running.client(key) as client:
        assert client.get("/v1/credits").json()["data"]["bonus"] == "0.50000000"
        body = {"model": "openai/gpt-4.1-nano", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
        assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_the_service_says_that_it_is_well(running):
    with running.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert "chuizi_requests_total" in client.get("/metrics").text
    # Everybody may read how the API works; what it answers needs a key.
    for path, status in (("/api/schema/", 200), ("/api/docs/", 200), ("/v1/credits", 401), ("/v1/models", 401)):
        answer = httpx.get(running.url + path)
        assert answer.status_code == status
        if status == 401:
            assert answer.json()["error"]["code"] == "invalid_api_key"


def test_zz_the_books_are_clean_at_the_end(running):
    done = running.manage("audit_ledger")
    assert done.returncode == 0, done.stdout + done.stderr
