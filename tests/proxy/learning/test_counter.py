"""Large prompts are counted by a process of its own, for all gateways of a machine, and nobody waits for it long."""

import asyncio
import json
import os
import signal
import time
import warnings

import pytest
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from proxy.learning import counter
from proxy.learning.counter import TokenCounter
from proxy.learning.tokenizer import MOST_BYTES
from proxy.learning.vocabularies import CL100K, O200K, vocabulary_of
from proxy.prices.bounds import Material
from proxy.watch import metrics
from tests.proxy.learning.conftest import counting_processes
from tests.proxy.learning.test_vocabularies import KINDS, source

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it opens its data in an old way
    import bpe_openai

TEXT = Material(text_bytes=100_000, wide=0)
pytestmark = [pytest.mark.usefixtures("own_counter"), pytest.mark.skipif(os.name != "posix", reason="Unix sockets")]


@pytest.fixture
async def tokens():
    found = TokenCounter()
    yield found
    found.close()


def members(*texts: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text} for text in texts]})[1:-1].encode()


async def ask(tokens: TokenCounter, *texts: str, vocabulary: str = O200K, customer: int = 1) -> int | None:
    return await tokens.count(vocabulary, members(*texts), TEXT, customer_id=customer)


def told(outcome: str) -> float:
    return metrics.COUNTS.labels(outcome)._value.get()


@pytest.mark.parametrize("vocabulary", [O200K, CL100K])
async def test_a_count_is_the_vocabulary_s_and_a_little_more(tokens, vocabulary):
    encoding = bpe_openai.get_encoding(vocabulary)
    for kind in KINDS:
        text = "\n".join(source(kind)[:600])
        true = len(encoding.encode_ordinary(text))
        found = await ask(tokens, text, vocabulary=vocabulary)
        assert true <= found <= 1.06 * true + 40, kind


async def test_a_conversation_of_many_turns_is_counted_in_all_its_parts(tokens):
    texts = source("code")[:2_000]
    encoding = bpe_openai.get_encoding(O200K)
    true = sum(len(encoding.encode_ordinary(text)) for text in texts)
    body = json.dumps({"input": [{"type": "function_call_output", "output": text} for text in texts]})
    found = await tokens.count(O200K, body[1:-1].encode(), TEXT, customer_id=1)
    assert found > true


async def test_a_hostile_prompt_takes_no_longer_than_another_and_half_a_character_is_counted(tokens):
    for text in ("a" * 1_000_000, " " * 1_000_000, "\ud800" * 100_000, "\U0001f600\u200d" * 100_000, '"\\' * 200_000):
        assert await ask(tokens, text) is not None


async def test_a_small_prompt_is_counted_while_a_long_one_is(tokens):
    await ask(tokens, "a")
    long = asyncio.create_task(ask(tokens, "".join(source("base64")) * 20))
    await asyncio.sleep(0)
    small = asyncio.create_task(ask(tokens, "word " * 4_000, customer=2))
    done, _ = await asyncio.wait([long, small], return_when=asyncio.FIRST_COMPLETED)
    assert done == {small}
    assert await long > 1_000_000


async def test_the_event_loop_goes_on_meanwhile(tokens):
    await ask(tokens, "a")
    asked = asyncio.create_task(ask(tokens, "".join(source("base64")) * 20))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 20


async def test_one_process_counts_for_all_gateways_and_ends_with_the_last(tokens):
    second = TokenCounter()
    assert await ask(tokens, "one") == await ask(second, "one")
    [process] = counting_processes()
    tokens.close()
    assert await ask(second, "two") is not None
    assert counting_processes() == [process]
    second.close()
    await ended()


async def test_one_that_was_killed_is_not_waited_for_and_begun_anew_later(tokens, monkeypatch):
    assert await ask(tokens, "one") is not None
    [process] = counting_processes()
    os.kill(process, signal.SIGKILL)
    await ended()
    before = told("failed")
    assert await ask(tokens, "two") is None
    assert told("failed") == before + 1
    passed = told("passed over")
    assert await ask(tokens, "three") is None, "it rests"
    assert told("passed over") == passed + 1
    monkeypatch.setattr(counter, "monotonic", lambda: time.monotonic() + counter.BEGIN_SECONDS)
    assert await ask(tokens, "four") is not None
    assert counting_processes() not in ([], [process])


async def test_one_that_hangs_is_waited_for_a_moment(tokens, monkeypatch):
    assert await ask(tokens, "one") is not None
    [process] = counting_processes()
    monkeypatch.setattr(counter, "WAIT_SECONDS", 0.1)
    os.kill(process, signal.SIGSTOP)
    try:
        before = told("too slow")
        assert await ask(tokens, "two") is None
        assert told("too slow") == before + 1
    finally:
        os.kill(process, signal.SIGCONT)


async def test_one_that_cannot_be_begun_costs_its_gateway_nothing(tokens, monkeypatch, tmp_path):
    monkeypatch.setattr(counter, "PROGRAM", tmp_path / "nothing.py")
    assert await ask(tokens, "one") is None
    assert counting_processes() == []


async def test_what_is_too_long_or_no_json_or_too_much_at_once_is_not_counted(tokens, monkeypatch):
    assert await tokens.count(O200K, b" " * MOST_BYTES, TEXT, customer_id=1) is None
    assert await tokens.count(O200K, b'"cut', TEXT, customer_id=1) is None
    monkeypatch.setattr(counter, "MOST_OF_ONE_CUSTOMER", 2)
    found = await asyncio.gather(*(ask(tokens, "one") for _ in range(3)), ask(tokens, "other", customer=2))
    assert [one is None for one in found] == [False, False, True, False]
    assert not tokens._asking


def test_models_are_counted_by_the_vocabulary_that_tiktoken_knows_them_by():
    known = {
        **MODEL_TO_ENCODING,
        **{prefix.rstrip("-") + "-2026": name for prefix, name in MODEL_PREFIX_TO_ENCODING.items()},
    }
    texts = {
        name: encoding for name, encoding in known.items() if not name.startswith(("text-", "ft:", "code", "davinci"))
    }
    for name, encoding in texts.items():
        found = vocabulary_of(f"openai/{name}")
        expected = {"o200k_base": O200K, "o200k_harmony": O200K, "cl100k_base": CL100K}.get(encoding, "")
        assert found in (expected, ""), name
    assert {vocabulary_of(name) for name in ("openai/gpt-5.1", "azure/o3-pro", "x/openai/gpt-4.1-mini")} == {O200K}
    assert vocabulary_of("openai/gpt-4-turbo") == CL100K
    assert {vocabulary_of(name) for name in ("openai/gpt-4x", "x/o10", "anthropic/claude-sonnet-5", "openai/m")} == {""}


async def ended() -> None:
    async with asyncio.timeout(30):
        while counting_processes():
            await asyncio.sleep(0.01)


async def test_its_folder_is_made_anew_and_nobody_else_s_is_used(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(counter.tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"chuizi-{os.getuid()}"
    for _ in range(2):
        assert counter.place().startswith(str(folder))
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.rmdir()
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        counter.place()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises((PermissionError, FileExistsError)):
        counter.place()
