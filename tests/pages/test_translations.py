"""Every string of every page has its Chinese, and what is compiled is what is written."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.template import engines
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.translation import trim_whitespace

APPS = ("core", "accounts", "billing", "payments", "proxy", "webhooks", "api", "console", "desk", "chuizi")
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}


@pytest.fixture(scope="session")
def catalogue(repository: Path) -> polib.POFile:
    return polib.pofile(str(repository / "locale/zh_Hans/LC_MESSAGES/django.po"))


def python_strings(repository: Path) -> Iterator[tuple[str, str]]:
    for app in APPS:
        for file in (repository / app).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(text)), *_]) if name in CALLS:
                        yield str(file.relative_to(repository)), text


def template_strings(repository: Path) -> Iterator[tuple[str, str]]:
    engine = engines["django"].engine
    for file in (repository / "templates").rglob("*.*"):
        nodelist = engine.from_string(file.read_text(encoding="utf-8")).nodelist
        for node in nodelist.get_nodes_by_type(TranslateNode):
            yield str(file.relative_to(repository)), str(node.filter_expression.var.literal)
        for node in nodelist.get_nodes_by_type(BlockTranslateNode):
            text = node.render_token_list(node.singular)[0]
            yield str(file.relative_to(repository)), trim_whitespace(text) if node.trimmed else text


def test_every_string_has_its_chinese(repository, catalogue):
    known = {entry.msgid for entry in catalogue if entry.translated()}
    used = set(python_strings(repository)) | set(template_strings(repository))
    assert len(used) > 300
    missing = sorted((file, text) for file, text in used if text and text not in known)
    assert not missing, f"run makemessages and translate: {missing[:10]}"


def test_no_translation_is_doubtful_or_loses_a_value(catalogue):
    for entry in catalogue:
        assert not entry.fuzzy, entry.msgid
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert set(re.findall(r"%\(\w+\)s|%%", text)) == set(re.findall(r"%\(\w+\)s|%%", entry.msgid)), entry.msgid


def test_the_compiled_catalogue_is_the_written_one(repository, catalogue):
    compiled = polib.mofile(str(repository / "locale/zh_Hans/LC_MESSAGES/django.mo"))
    assert {(entry.msgid, entry.msgstr, str(entry.msgstr_plural)) for entry in compiled} == {
        (entry.msgid, entry.msgstr, str(entry.msgstr_plural)) for entry in catalogue if not entry.obsolete
    }
