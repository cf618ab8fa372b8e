"""`/api/docs/`: every operation on one page of the site, under its policy, in the reader's language, soon."""

import gzip
import re

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from api.reference import document, page, shown

MOST_BYTES = 60_000


@pytest.fixture(scope="module")
def groups() -> list[shown.Group]:
    return shown.grouped(document.read(), site="https://chuizi.example")


def get(client, **headers):
    return client.get("/api/docs/", headers={"Accept-Encoding": "gzip", **headers})


def test_every_operation_stands_on_a_small_page_of_the_site(client, db, groups):
    answer = get(client)
    text = gzip.decompress(answer.content).decode()
    assert len(answer.content) < MOST_BYTES
    for group in groups:
        for operation in group.operations:
            assert f'id="{operation.anchor}"' in text
            assert f'data-path="{operation.path}"' in text
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "nonce" not in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    assert not re.search(r"<[^>]+\s(on[a-z]+|style)=", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)


def test_every_field_of_a_form_has_a_name_of_its_own(client, db):
    ids = re.findall(r' id="([^"]+)"', client.get("/api/docs/").content.decode())
    assert len(ids) == len(set(ids)) > 200


def test_it_is_made_with_the_first_page_that_needs_it_and_once(db, monkeypatch):
    monkeypatch.setattr(document, "_made", {})
    monkeypatch.setattr(page, "_kept", {})
    assert Client().get("/").status_code == 200
    assert not document._made
    assert Client().get("/api/docs/").status_code == 200
    assert list(document._made) == ["application/vnd.oai.openapi+json"]
    monkeypatch.setattr(shown, "grouped", None)
    assert Client().get("/api/docs/").status_code == 200


def test_a_reader_of_chinese_finds_every_sentence_in_it(db, groups):
    answer = Client().get("/api/docs/", headers={"Accept-Language": "zh-CN"}).content.decode()
    assert '<html lang="zh-hans">' in answer
    assert "试一试" in answer
    assert "The body is too long." in answer, "errors are shown as they are sent"
    texts = {
        text
        for group in groups
        for one in group.operations
        for text in (
            group.title,
            one.summary,
            one.notes,
            *(field.words for field in (*one.parameters, *one.fields, *one.parts)),
        )
        if text
    }
    with translation.override("zh-hans"):
        missing = sorted(text for text in texts if gettext(text) == text)
    assert len(texts) > 120
    assert not missing, "what the description tells is translated too"


def test_examples_of_commands_are_whole(groups):
    commands = {f"{one.method} {one.path}": one.curl for group in groups for one in group.operations}
    assert commands["GET /v1/credits"] == (
        'curl "https://chuizi.example/v1/credits" \\\n  -H "Authorization: Bearer $CHUIZI_KEY"'
    )
    assert commands["DELETE /v1/keys/{key_id}"].startswith('curl -X DELETE "https://chuizi.example/v1/keys/$KEY_ID"')
    assert """-d '{"amount": "20.00", "method": "alipay"}'""" in commands["POST /v1/topups"]
    assert "-F file=@file" in commands["POST /v1/audio/transcriptions"]
    assert "?group_by=model" in commands["GET /v1/usage"]


def test_no_id_of_an_example_is_filled_into_a_form_that_changes_something(groups):
    filled = {
        (one.method, one.path)
        for group in groups
        for one in group.operations
        for field in one.parameters
        if field.place == "path" and field.value
    }
    assert {path for _method, path in filled if "models" not in path and "statements" not in path} == set()
