"""Who may know whom, and who may write what."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

APPS = ("accounts", "billing", "payments", "proxy")
PRIVATE = ("views", "forms", "tasks", "admin")
MOST_LINES = 400


def sources(repository: Path, *folders: str) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for file in sorted((repository / folder).rglob("*.py")):
            if "migrations" not in file.parts:
                yield file.relative_to(repository), file.read_text(encoding="utf-8")


def imports(text: str) -> Iterator[str]:
    """Every module a file imports, names taken from a package included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_imports_go_one_way(repository):
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_nobody_imports_another_apps_views_forms_tasks_or_admin(repository):
    for file, text in sources(repository, *APPS):
        for name in imports(text):
            app, _, module = name.partition(".")
            if app in APPS and app != file.parts[0]:
                assert module.split(".")[0] not in PRIVATE, f"{file} imports {name}"


WRITES = {
    "billing_transfer": ("billing/ledger.py",),
    "billing_hold": ("billing/holds.py",),
    "billing_wallet": ("billing/ledger.py", "billing/holds.py"),
    # The demo's past is made by hand.
    "proxy_generation": ("proxy/lane.py", "proxy/metering.py", "proxy/settlement.py", "chuizi/local/demo.py"),
}
MODELS = {"Transfer": "billing_transfer", "Hold": "billing_hold", "Wallet": "billing_wallet"}
# How a row may be reached without its model's name: a variable or the other end of a foreign key.
NAMES = {
    "transfer": "Transfer",
    "hold": "Hold",
    "wallet": "Wallet",
    "credits": "Transfer",
    "debits": "Transfer",
    "holds": "Hold",
}
ACTS = {"save", "create", "update", "delete", "get_or_create", "update_or_create", "bulk_create", "bulk_update"}


@pytest.mark.parametrize("table", WRITES)
def test_a_money_table_has_one_writer(repository, table):
    sql = re.compile(rf"(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(\s+TABLE)?)\s+(ONLY\s+)?{table}\b", re.IGNORECASE)
    found = {str(file) for file, text in sources(repository, *APPS, "chuizi") if sql.search(text)}
    assert found <= set(WRITES[table])
    assert found, "the search finds nothing any more"


def written_models(text: str) -> Iterator[str]:
    """Models of the books that an expression writes: `Hold.objects.filter(...).update(...)`, `wallet.save()`."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ACTS):
            continue
        place: ast.expr = node.func.value
        while not isinstance(place, ast.Name):
            if isinstance(place, ast.Attribute):
                if place.attr in NAMES:
                    yield NAMES[place.attr]
                place = place.value
            elif isinstance(place, ast.Call):
                place = place.func
            elif isinstance(place, ast.Subscript | ast.Await):
                place = place.value
            else:
                break
        if isinstance(place, ast.Name) and (place.id in MODELS or place.id in NAMES):
            yield NAMES.get(place.id, place.id)


def test_the_search_for_writers_finds_each_way_to_write():
    for act in (
        "Hold.objects.filter(key=f(x)).exclude(a=1).update(state='x')",
        "hold.save(update_fields=['state'])",
        "customer.holds.create(key='x')",
        "Hold(key='x').save()",
        "Hold.objects.all()[0].delete()",
    ):
        assert list(written_models(act)) == ["Hold"], act
    assert list(written_models("Hold.objects.filter(key='x').exists()")) == []


@pytest.mark.parametrize("model", MODELS)
def test_a_money_model_is_written_through_its_module(repository, model):
    for file, text in sources(repository, *APPS, "chuizi"):
        if str(file) not in WRITES[MODELS[model]]:
            assert model not in set(written_models(text)), f"{file} writes {model}"


def test_nobody_turns_the_append_only_triggers_off(repository):
    off = re.compile(r"pgtrigger\.ignore|session_replication_role|DISABLE\s+TRIGGER", re.IGNORECASE)
    for file, text in sources(repository, *APPS, "chuizi"):
        assert not off.search(text), file


def test_money_is_never_a_float(repository):
    for file, text in sources(repository, "billing", "payments", "proxy"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
                argument = ast.unparse(node)
                # Seconds of a timeout, and percent of a bar's width, are no money.
                assert "timeout" in argument or "* 100" in argument, f"{file}: {argument}"


def test_the_sandbox_imports_no_app_and_no_app_the_sandbox(repository):
    for folder, strangers in (("sandbox", {*APPS, "chuizi"}), *((app, {"sandbox"}) for app in APPS)):
        for file, text in sources(repository, folder):
            assert not {name.partition(".")[0] for name in imports(text)} & strangers, file


def test_no_file_is_two_rooms(repository):
    for file, text in sources(repository, *APPS, "chuizi", "sandbox", "bench", "fuzz", "tests"):
        assert len(text.splitlines()) <= MOST_LINES, f"{file} has {len(text.splitlines())} lines"


def test_the_one_asgi_application_names_its_parameters_as_servers_pass_them(repository):
    tree = ast.parse((repository / "chuizi" / "asgi.py").read_text(encoding="utf-8"))
    [application] = [n for n in tree.body if isinstance(n, ast.AsyncFunctionDef) and n.name == "application"]
    assert [argument.arg for argument in application.args.args] == ["scope", "receive", "send"]
