"""OpenAI's own client, each path beside chat."""

from collections.abc import Iterator
from decimal import Decimal

import openai
import pytest

from tests.proxy.conftest import Gateway, wait_for
from tests.uploads import sound


@pytest.fixture
def client(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


def test_completions_without_chat(client):
    answer = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["one", "two"], max_tokens=5)
    assert [bool(one.text) for one in answer.choices] == [True, True]
    assert answer.usage.completion_tokens == 10
    assert Decimal(str(answer.usage.cost)) == wait_for("metered").cost > 0
    chunks = list(
        client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt="one", stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(one.text for chunk in chunks for one in chunk.choices)
    assert chunks[-1].usage.completion_tokens == 16
    assert Decimal(chunks[-1].x_chuizi["cost"]) > 0


def test_embeddings_in_a_batch_and_as_the_client_packs_them(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    assert [len(one.embedding) for one in answer.data] == [8, 8]
    assert isinstance(answer.data[0].embedding[0], float)
    assert answer.usage.prompt_tokens == 2
    assert Decimal(str(answer.usage.cost)) == wait_for("metered").cost > 0


def test_moderations_without_a_model(client):
    answer = client.moderations.create(input=["hello", "violence"])
    assert [one.flagged for one in answer.results] == [False, True]


def test_speech_as_bytes_and_as_events(client):
    sound = client.audio.speech.create(model="tts-1", input="Hello", voice="alloy").content
    assert sound.startswith(b"RIFF")
    assert wait_for("metered").cost == Decimal("0.00007875")
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", input="Hello", voice="alloy", stream_format="sse"
    ) as answer:
        events = answer.read().decode()
    assert events.count("speech.audio.done") == 2
    assert '"cost":' in events


def test_pictures_in_one_piece_and_as_events(client):
    answer = client.images.generate(model="gpt-image-1", prompt="a crab", quality="low", size="1024x1024", n=2)
    assert [one.b64_json[:5] for one in answer.data] == ["iVBOR", "iVBOR"]
    assert answer.usage.output_tokens == 544
    assert Decimal(str(answer.usage.cost)) == wait_for("metered").cost > 0
    events = list(client.images.generate(model="gpt-image-1", prompt="a crab", stream=True, partial_images=2))
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert Decimal(events[-1].x_chuizi["cost"]) > 0


PNG = ("a.png", b"\x89PNG", "image/png")


def test_edits_of_pictures_in_one_piece_and_as_events(client):
    answer = client.images.edit(model="gpt-image-1", image=PNG, prompt="a crab", quality="low", size="1024x1024")
    assert answer.data[0].b64_json.startswith("iVBOR")
    assert answer.usage.input_tokens_details.image_tokens == 194
    assert Decimal(str(answer.usage.cost)) == wait_for("metered").cost > 0
    several = client.images.edit(model="gpt-image-1", image=[PNG, PNG], mask=PNG, prompt="a crab", n=2, quality="low")
    assert (len(several.data), several.usage.input_tokens_details.image_tokens) == (2, 388)
    events = list(
        client.images.edit(
            model="gpt-image-1", image=PNG, prompt="a crab", stream=True, partial_images=2, quality="low"
        )
    )
    kinds = ["image_edit.partial_image", "image_edit.partial_image", "image_edit.completed"]
    assert [event.type for event in events] == kinds
    assert Decimal(events[-1].x_chuizi["cost"]) > 0


def test_transcripts_by_the_second_and_by_tokens_and_as_events(client):
    said = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound(4.5)), language="en")
    assert said.text == "one two three four"
    assert said.usage.seconds == 5
    assert Decimal(str(said.usage.cost)) == wait_for("metered").cost == Decimal("0.000525")
    told = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", sound(3)), response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (told.duration, told.segments[0].text) == (3.0, "one two three")
    for form in ("text", "srt", "vtt"):
        text = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound(1)), response_format=form)
        assert text == "one\n"
    heard = client.audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=("a.wav", sound(2)),
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
    )
    assert heard.usage.input_token_details.audio_tokens == 20
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound(2)), stream=True))
    assert [event.type.rpartition(".")[2] for event in events] == ["delta", "delta", "done"]
    assert Decimal(events[-1].x_chuizi["cost"]) > 0


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's word for translations
async def test_a_translation_by_the_asynchronous_client(served):
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        said = await client.audio.translations.create(model="whisper-1", file=("a.wav", sound(2)), prompt="Grüße")
        assert said.text == "one two"
        stream = await client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=("a.wav", sound(1)), stream=True
        )
        assert [event.type async for event in stream][-1] == "transcript.text.done"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.translations.create(model="tts-1", file=("a.wav", sound(1)))
        assert caught.value.param == "model"


def test_a_wrong_request_is_the_clients_own_error(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input=[])
    assert caught.value.param == "input"
