"""Every machine's table is complete, drawn, and the only way from one state to the next."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import Model, TextChoices

from billing.models import Hold
from core.states import Machine, machine_of, move, move_all
from proxy.models import Generation
from tests.conftest import NOW
from tests.test_architecture import APPS, sources

MODELS: list[type[Model]] = [model for model in apps.get_models() if hasattr(model, "State")]
PAGE, HEAD_ENDS = Path("docs/states.md"), "## "


class Refused(Exception):
    pass


class Light(TextChoices):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


def test_a_model_with_states_has_a_machine():
    assert len(MODELS) >= 9
    for model in MODELS:
        assert isinstance(getattr(model, "MACHINE", None), Machine), f"{model.__name__} has states and no machine"
        assert machine_of(model).states is model.State
        field = model._meta.get_field("state")
        assert field.default in machine_of(model).starts
        assert field.choices == model.State.choices


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"moves": {"green": ("red",), "blue": ("red",)}}, "no state blue"),
        ({"moves": {"green": ("red",)}}, "nothing of light leads to broken"),
        ({"ends": ("green",)}, "never ends from broken"),
    ],
)
def test_a_table_that_is_not_complete_is_refused(changes, words):
    table = {"starts": ("red",), "ends": ("broken",), "moves": {"green": ("red",), "broken": ("green",)}}
    assert Machine("light", Light, **table).pairs() == [("red", "green"), ("green", "broken")]
    with pytest.raises(ValueError, match=words):
        Machine("light", Light, **(table | changes))


def drawn() -> str:
    by_machine: dict[str, list[type[Model]]] = {}
    for model in MODELS:
        by_machine.setdefault(machine_of(model).name, []).append(model)
    parts = []
    for name in sorted(by_machine):
        machine = machine_of(by_machine[name][0])
        models = ", ".join(sorted(f"`{model._meta.label}`" for model in by_machine[name]))
        arrows = [("[*]", state) for state in machine.states.values if state in machine.starts]
        arrows += machine.pairs()
        arrows += [(state, "[*]") for state in machine.states.values if state in machine.ends]
        lines = [f"  {start} --> {to}" for start, to in arrows]
        lines = [f"## {name.capitalize()}", "", models, "", "```mermaid", "stateDiagram-v2", *lines, "```"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def test_the_page_shows_every_machine_as_it_is(repository):
    """`UPDATE=1 pytest tests/core/test_states.py` writes it anew."""
    page = repository / PAGE
    head = page.read_text(encoding="utf-8").partition(HEAD_ENDS)[0].rstrip() + "\n\n"
    if os.environ.get("UPDATE"):
        page.write_text(head + drawn(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == head + drawn(), "stale: UPDATE=1 pytest tests/core/test_states.py"


def written(text: str) -> Iterator[str]:
    """Places that change a state without asking its machine."""
    for node in ast.walk(ast.parse(text)):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            for one in target.elts if isinstance(target, ast.Tuple) else (target,):
                if isinstance(one, ast.Attribute) and one.attr == "state" and ast.unparse(one.value) != "self":
                    yield ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = {word.arg for word in node.keywords}
            fields = [ast.unparse(word.value) for word in node.keywords if word.arg == "update_fields"]
            if (node.func.attr == "update" and "state" in names) or any("'state'" in text for text in fields):
                yield ast.unparse(node)


def test_the_search_finds_each_way_to_change_a_state():
    assert list(written("part.state = x"))
    assert list(written("a.state, a.b = x, y"))
    assert list(written("rows.filter(pk=1).update(state=x)"))
    assert list(written("a.save(update_fields=['state'])"))
    assert not list(written("Part.objects.create(state=x)\nself.state = folder\nrows.filter(state=x)"))


def test_a_state_changes_by_its_machine_alone(repository):
    for file, text in sources(repository, *APPS):
        if file != Path("core/states.py"):
            assert not list(written(text)), file


def strings(text: str) -> Iterator[str]:
    """The strings of a file, those that are put together whole; `?` for what only a run knows."""
    inner: set[ast.AST] = set()

    def words(node: ast.AST) -> str:
        inner.add(node)
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(words(part) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return words(node.left) + words(node.right)
        return "?"

    for node in ast.walk(ast.parse(text)):
        if node not in inner and isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            yield words(node)


TABLES: dict[str, type[Model]] = {"proxy_generation": Generation, "billing_hold": Hold}
FROM = {"h.resolved_at IS NULL": "open", "g.ctid = d.place": "metered"}
"""How SQL names a state without its word: by a constraint, and by the place of a row that was locked in it."""


def moves_in_sql(text: str, table: str) -> Iterator[tuple[str, str]]:
    for string in strings(text):
        if not (update := re.search(rf"UPDATE {table}\b.* SET (.*?) WHERE (.*)", string, re.DOTALL)):
            continue
        to = re.search(r"\bstate = (CASE .*? END|'\w+')", update[1])
        if to is None:
            continue
        starts = re.findall(r"\bstate = '(\w+)'", update[2]) or [s for how, s in FROM.items() if how in update[2]]
        assert starts, f"from which state? {string}"
        states = re.findall(r"(?:THEN|ELSE) '(\w+)'", to[1]) or [to[1].strip("'")]
        yield from ((start, state) for start in starts for state in states)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("proxy_generation", {("held", "metered"), ("metered", "settled"), ("metered", "released")}),
        ("billing_hold", {("open", "captured"), ("open", "released")}),
    ],
)
def test_moves_in_sql_are_in_the_table(repository, table, expected):
    found = {pair for _file, text in sources(repository, *APPS) for pair in moves_in_sql(text, table)}
    assert found <= set(machine_of(TABLES[table]).pairs())
    assert found == expected, "the search finds other moves than when it was written"


def test_who_comes_second_changes_nothing(db, wallet):
    Hold.objects.create(key="x", customer_id=wallet.pk, kind="request", amount=1, bound=1, created_at=NOW)
    first, second = Hold.objects.get(pk="x"), Hold.objects.get(pk="x")
    move(first, to=Hold.State.RELEASED, error=Refused, resolved_at=NOW, reason="first")
    with pytest.raises(Refused):
        move(second, to=Hold.State.CAPTURED, error=Refused, resolved_at=NOW, reason="second")
    assert (first.state, first.reason, second.state) == ("released", "first", "open")
    assert move_all(Hold.objects.all(), to=Hold.State.CAPTURED, resolved_at=NOW) == 0
    assert Hold.objects.values_list("state", "reason").get() == ("released", "first")


def made(text: str) -> Iterator[tuple[str, str]]:
    """A model, and the state that a row of it is made in where a file names one: `Part.objects.create(state=...)`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "create":
            model = ast.unparse(node.func).partition(".")[0]
            for word in node.keywords:
                if word.arg == "state" and isinstance(word.value, ast.Attribute):
                    yield model, word.value.attr


def test_a_row_is_made_in_a_state_that_begins(repository):
    models = {model.__name__: model for model in MODELS}
    found = {pair for _file, text in sources(repository, *APPS) for pair in made(text) if pair[0] in models}
    assert {("RefundRequest", "EXTERNAL"), ("RefundPart", "FAILED")} <= found
    for name, state in found:
        assert models[name].State[state] in machine_of(models[name]).starts, f"{name} is made {state}"
