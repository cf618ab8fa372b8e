"""Audio and video are never charged as text: every way in is refused until a price names them."""

import base64
from typing import Any

import orjson
import pytest

from billing.models import Hold
from proxy.protocols.base import BadRequest, Call
from proxy.protocols.openai import chat
from proxy.protocols.openai.chat.asked.careful import read_carefully

DATA = base64.b64encode(bytes(3_000)).decode()
AUDIO, VIDEO = ("input_audio",), ("input_video",)
Part = dict[str, Any]


def image(url: str, **more: Any) -> Part:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def document(**held: Any) -> Part:
    return {"type": "file", "file": held}


APART: dict[str, tuple[Part, tuple[str, ...]]] = {
    "wav": ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, AUDIO),
    "an unknown format": ({"type": "input_audio", "input_audio": {"data": DATA, "format": "flac"}}, AUDIO),
    "audio as data": ({"type": "input_audio", "input_audio": {"data": f"data:audio/wav;base64,{DATA}"}}, AUDIO),
    "audio at an address": ({"type": "input_audio", "input_audio": {"data": "https://x/a.mp3"}}, AUDIO),
    "audio alone": ({"type": "input_audio", "input_audio": DATA}, AUDIO),
    "no audio": ({"type": "input_audio"}, AUDIO),
    "vLLM's audio": ({"type": "audio_url", "audio_url": {"url": "https://x/a"}}, AUDIO),
    "a part of audio": ({"type": "audio", "audio": DATA}, AUDIO),
    "vLLM's video": ({"type": "video_url", "video_url": {"url": "https://x/a"}}, VIDEO),
    "a video's data": ({"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{DATA}"}}, VIDEO),
    "input_video": ({"type": "input_video", "input_video": {"data": DATA}}, VIDEO),
    "a picture that sounds": (image(f"data:audio/mpeg;base64,{DATA}"), AUDIO),
    "a picture that moves": (image(f"data:video/mp4;base64,{DATA}"), VIDEO),
    "in capitals": (image(f"DATA:Video/MP4;base64,{DATA}"), VIDEO),
    "after blanks": (image(f" \n data:video/mp4;base64,{DATA}"), VIDEO),
    "with blanks": (image(f"da\tta:video/mp4;base64,{DATA}"), VIDEO),
    "a picture's address alone": ({"type": "image_url", "image_url": f"data:video/mp4;base64,{DATA}"}, VIDEO),
    "a film's address": (image("https://x/film.mp4"), VIDEO),
    "a film's address with more": (image("https://x/film.MP4?sig=1#t"), VIDEO),
    "a film's address, encoded": (image("https://x/film%2emp%34"), VIDEO),
    "a film's address with a parameter": (image("https://x/film.mp4;v=1"), VIDEO),
    "a song's address": (image("http://x/song.mp3"), AUDIO),
    "a film at YouTube": (image("https://www.youtube.com/watch?v=1"), VIDEO),
    "a short link to one": (image("https://youtu.be/1"), VIDEO),
    "LiteLLM's format": (image("https://x/1", format="video/mp4"), VIDEO),
    "a short format": (image("https://x/1", format="mp4"), VIDEO),
    "a mime type": (image("https://x/1", mime_type="audio/wav"), AUDIO),
    "a member that nobody knows": (image("https://x/1", data="data:video/mp4;base64,AAAA"), VIDEO),
    "a document that sounds": (document(file_data=f"data:audio/wav;base64,{DATA}"), AUDIO),
    "a document that moves": (document(file_data=f"data:video/webm;base64,{DATA}"), VIDEO),
    "a document at an address": (document(file_data="https://x/a.webm"), VIDEO),
    "a document's own address": (document(file_url="https://x/a.mov"), VIDEO),
    "a document's name": (document(file_data=DATA, filename="a.mp3"), AUDIO),
    "a document's format": (document(file_data=DATA, format="video/mp4"), VIDEO),
}
REFUSED: dict[str, Part] = {
    "a stored file": document(file_id="file-abc"),
    "a stored file with data": document(file_id="file-abc", file_data=f"data:application/pdf;base64,{DATA}"),
    "a picture's stored file": {"type": "image_url", "image_url": {"file_id": "file-abc"}},
    "a part's stored file": {"type": "file", "file_id": "file-abc"},
    "a text's stored file": {"type": "text", "text": "hi", "file_id": "file-abc"},
    "an assistant's file": {"type": "image_file", "image_file": {"file_id": "file-abc"}},
    "media": {"type": "media", "media": DATA},
    "Anthropic's document": {"type": "document", "source": {"type": "url", "url": "https://x/a.mp4"}},
    "Anthropic's image": {"type": "image", "source": {"type": "base64", "data": DATA}},
    "a result with parts": {"type": "tool_result", "content": [{"type": "video_url", "video_url": {"url": "u"}}]},
    "Responses' file": {"type": "input_file", "file_data": DATA},
    "Gemini's data": {"type": "inline_data", "inline_data": {"mime_type": "video/mp4", "data": DATA}},
    "Qwen's frames": {"type": "video", "video": ["https://x/1.jpg", "https://x/2.jpg"]},
    "nobody knows": {"type": "nobody_knows"},
    "a video beside a text": {"type": "text", "text": "hi", "video_url": {"url": "https://x/a.mp4"}},
    "a video beside a picture": {**image("https://x/a.png"), "video_url": {"url": "https://x/a.mp4"}},
    "audio beside thinking": {"type": "thinking", "thinking": "hm", "input_audio": {"data": DATA, "format": "wav"}},
    "no type": image(f"data:;base64,{DATA}"),
    "bytes of any kind": image(f"data:application/octet-stream;base64,{DATA}"),
    "a bucket": image("gs://bucket/film"),
    "a file of the server": image("file:///etc/passwd"),
    "a document of any kind": document(file_data=f"data:application/octet-stream;base64,{DATA}"),
    "a twin": {"type": "image_url", "Image_URL": {"url": "https://x/a.mp4"}, "image_url": {"url": "https://x/a.png"}},
    "a twin's type": {"type": "text", "Type": "video_url", "text": "hi"},
}
TAKEN: dict[str, tuple[Part, tuple[int, int]]] = {
    "a picture": (image(f"data:image/png;base64,{DATA}"), (1, 0)),
    "a picture at an address": (image("https://x/a.png?x=a.mp4"), (1, 0)),
    "a picture without a suffix": (image("https://x/a"), (1, 0)),
    "a picture of a known format": (image("https://x/a", format="image/webp"), (1, 0)),
    "a pdf": (document(file_data=f"data:application/pdf;base64,{DATA}", filename="a.pdf"), (0, 1)),
    "a pdf for a picture": (image(f"data:application/pdf;base64,{DATA}"), (0, 1)),
    "a source file": (document(file_data=f"data:text/plain;base64,{DATA}", filename="main.ts"), (0, 1)),
    "a document at an address": (document(file_data="https://x/a.pdf"), (0, 1)),
    "a text with nothing beside": ({"type": "text", "text": "see a.mp4", "video_url": None}, (0, 0)),
}


def body(part: Part, *, role: str = "user") -> bytes:
    return orjson.dumps({"model": "openai/m", "messages": [{"role": role, "content": [part]}]})


def read(raw: bytes) -> Call:
    call = chat.read(raw)
    assert read_carefully(raw) == call
    return call


@pytest.mark.parametrize("role", ["user", "tool", "assistant", "system"])
@pytest.mark.parametrize("way", APART)
def test_audio_and_video_need_a_price_of_their_own_whatever_way_they_come(way, role):
    part, units = APART[way]
    assert read(body(part, role=role)).units == units


@pytest.mark.parametrize("role", ["user", "tool"])
@pytest.mark.parametrize("way", REFUSED)
def test_what_is_stored_or_of_no_known_kind_is_refused(way, role):
    with pytest.raises(BadRequest) as refused:
        read(body(REFUSED[way], role=role))
    assert (refused.value.param or "").startswith("messages[0]")


@pytest.mark.parametrize("way", TAKEN)
def test_pictures_and_documents_are_taken(way):
    part, counts = TAKEN[way]
    call = read(body(part))
    assert (call.units, call.material.images, call.material.files) == ((), *counts)


@pytest.mark.parametrize("url", ["data:video/mp4;base64,AAAA", "https://x/film.mp4"])
def test_an_address_may_be_spelt_with_escapes(url):
    for spelt in (url.replace("d", "\\u0064").replace("h", "\\u0068"), url.replace("/", "\\/")):
        raw = body(image("@")).replace(b'"@"', f'"{spelt}"'.encode())
        assert read(raw).units == VIDEO


def test_a_long_address_is_told_by_its_beginning_wherever_it_is_cut():
    for fill in ("\\u00e9", "é", "\\ud83d\\ude00", "a\\\\"):
        for shift in range(13):
            raw = body(image("@")).replace(b'"@"', f'"data:video/{"x" * shift}{fill * 3000},AAAA"'.encode())
            assert read(raw).units == VIDEO


@pytest.mark.parametrize(
    "field",
    [
        {"audio": {"id": "audio_1"}},
        {"images": [DATA]},
        {"videos": [DATA]},
        {"files": [{"id": "x"}]},
        {"file_ids": ["x"]},
    ],
)
def test_media_beside_a_messages_content_are_refused(field):
    for more in ({}, {"name": "ada"}):
        message = {"role": "user", "content": "hi", **field, **more}
        with pytest.raises(BadRequest) as refused:
            read(orjson.dumps({"model": "openai/m", "messages": [message]}))
        assert refused.value.param == f"messages[0].{next(iter(field))}"


def test_what_sdks_write_into_an_assistants_message_is_taken():
    message = {"role": "assistant", "content": "hi", "audio": None, "refusal": None, "annotations": []}
    message |= {"tool_calls": None, "function_call": None}
    assert read(orjson.dumps({"model": "openai/m", "messages": [message]})).material.files == 0


@pytest.mark.parametrize("way", [*APART, *REFUSED, "a picture", "a pdf"])
def test_predicted_output_is_text(way):
    part = {**{name: part for name, (part, _) in APART.items()}, **REFUSED, **{n: p for n, (p, _) in TAKEN.items()}}[
        way
    ]
    asked = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}
    prediction = {"type": "content", "content": [{"type": "text", "text": "ab"}, part]}
    with pytest.raises(BadRequest) as refused:
        read(orjson.dumps({**asked, "prediction": prediction}))
    assert (refused.value.param or "").startswith("prediction.content")


def test_predicted_parts_of_text_are_held_as_output():
    asked = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}
    prediction = {"type": "content", "content": [{"type": "text", "text": "x" * 900}]}
    assert read(orjson.dumps({**asked, "prediction": prediction})).material.predicted > 900


def test_an_answer_that_sounds_is_of_a_unit_that_a_price_must_name():
    asked = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}
    for field in ({"audio": {"voice": "alloy", "format": "mp3"}}, {"modalities": ["text", "audio"]}):
        assert read(orjson.dumps({**asked, **field})).units == ("output_audio",)


@pytest.mark.parametrize(
    "field",
    [
        {"modalities": ["video"]},
        {"modalities": "audio"},
        {"modalities": [["audio"]]},
        {"modalities": []},
        {"audio": "alloy"},
        {"audio": {"voice": {"id": "voice_1"}}},
        {"web_search_options": True},
        {"search_parameters": {}},
    ],
)
def test_what_nobody_could_price_is_refused_with_its_field(field):
    asked = {"model": "openai/m", "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(BadRequest) as refused:
        read(orjson.dumps({**asked, **field}))
    assert (refused.value.param or "").startswith(next(iter(field)))


@pytest.mark.parametrize("way", ["an unknown format", "vLLM's video", "a picture that sounds", "a document that moves"])
def test_over_the_wire_the_missing_price_is_named_and_nothing_is_held(gateway, way):
    part, [unit] = APART[way]
    error = gateway.chat(messages=[{"role": "user", "content": [part]}]).json()["error"]
    assert (error["code"], f"`{unit}`" in error["message"]) == ("validation_error", True)
    assert not Hold.objects.exists()


def test_pictures_without_end_are_refused():
    part = {"type": "image_url", "image_url": "https://example.com/a.png"}
    for count in (5_000, 5_001):
        body = {"model": "m", "messages": [{"role": "user", "content": [part] * count}]}
        if count == 5_000:
            assert chat.read(orjson.dumps(body)).material.images == count
        else:
            with pytest.raises(BadRequest, match="at most 5000"):
                chat.read(orjson.dumps(body))
