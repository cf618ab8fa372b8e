"""Who may know whom, and who may write what."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

DOMAIN = ("accounts", "billing", "payments", "proxy", "webhooks")
FACES = ("api", "console", "desk")
APPS = ("core", *DOMAIN, *FACES)
WEB = (
    "django.http",
    "django.shortcuts",
    "django.urls",
    "django.views",
    "django.contrib.admin",
    "rest_framework",
    "unfold",
)
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


def run_time_imports(text: str) -> Iterator[str]:
    """As `imports`, without what only the type checker reads."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return imports(ast.unparse(tree))


def test_no_domain_file_knows_the_web(repository):
    """Pages, the REST API and the desk are the faces' alone: a rule that is asked by a task has no request."""
    for file, text in sources(repository, *DOMAIN):
        for name in run_time_imports(text):
            assert not any(name == web or name.startswith(f"{web}.") for web in WEB), f"{file} imports {name}"


WRITES = {
    "billing_transfer": ("billing/books/ledger.py",),
    "billing_hold": ("billing/books/holds.py",),
    "billing_wallet": ("billing/books/ledger.py", "billing/books/holds.py"),
    # The demo's past is made by hand.
    "proxy_attempt": ("proxy/settlement/attempts.py", "proxy/purchases/rows.py", "proxy/purchases/dollars.py"),
    "proxy_generation": (
        "proxy/admission/writer.py",
        "proxy/settlement/metered.py",
        "proxy/settlement/settle.py",
        "proxy/settlement/counting.py",
        "proxy/purchases/rows.py",
        "proxy/purchases/dollars.py",
        "proxy/rerating/posting.py",
        "chuizi/local/demo.py",
    ),
    "proxy_usageday": ("proxy/settlement/counting.py",),
    "proxy_chargecorrection": ("proxy/settlement/counting.py",),
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


UNIT = re.compile(
    r"['\"](cache_(read|write)(_(30m|1h|12h))?(_(audio|image|video))?(_token)?|(input|output|reasoning)_token"
    r"|input_text|output_(text|audio|image)|citation|second|second_video|character|code_session)['\"]"
)


def test_a_unit_of_price_is_named_in_its_table_alone(repository):
    for file, text in sources(repository, "proxy", *FACES):
        if file.as_posix() != "proxy/prices/units.py":
            assert not (found := UNIT.search(text)), f"{file}: {found.group()}"


PROTOCOLS = re.compile(r"protocols\.(openai|anthropic|gemini)\b|\bchat\.[a-z]|/chat/completions")


def test_a_protocol_is_known_in_its_folder_and_in_the_table_of_routes(repository):
    for file, text in sources(repository, "proxy", "chuizi"):
        if file.parts[1] != "local" and file.parts[:2] != ("proxy", "protocols") and file.name != "routes.py":
            assert not (found := PROTOCOLS.search(text)), f"{file}: {found.group()}"


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


PROVIDERS = "payments/providers"
ELSEWHERE = {
    "payments/providers/registry.py": (4, "the list of the specs"),
    "payments/models/topups.py": (3, "the choices of a column, which migrations hold"),
    "payments/models/refunds.py": (1, "a help text that migrations hold"),
    "billing/books/money.py": (1, "where the decimal places of currencies are from"),
    "billing/refunds/core.py": (1, "an account's name, as an example"),
    "core/deploy.py": (6, "core may not import the specs; its checks are numbered in one list"),
    "console/home.py": (1, "shows what is switched on without making the providers"),
    "desk/first_page/payments.py": (1, "asks by their variables whether any charges in yuan"),
    "chuizi/local/environment.py": (23, "the sandbox's account at each, for a run on one's own machine"),
    "chuizi/local/sandbox_keys.py": (9, "the sandbox's keys"),
}
"""Where a provider is named outside its folder: on how many lines, and why. This may get shorter, not longer."""


def lines_naming(names: set[str], text: str) -> int:
    return sum(any(name in line.lower() for name in names) for line in text.splitlines())


def test_a_providers_name_stands_in_its_own_folder(repository):
    names = {file.parent.name for file in (repository / PROVIDERS).glob("*/spec.py")}
    assert len(names) >= 3, "the search finds no provider any more"
    found = {}
    for file, text in sources(repository, *APPS, "chuizi"):
        own = file.parent.name if str(file.parent.parent) == PROVIDERS else ""
        if lines := lines_naming(names - {own}, text):
            found[str(file)] = lines
    assert found == {file: lines for file, (lines, _why) in ELSEWHERE.items()}, "see docs/adding-a-provider.md"


def test_no_file_is_two_rooms(repository):
    for file, text in sources(repository, *APPS, "chuizi", "sandbox", "bench", "fuzz", "tests"):
        assert len(text.splitlines()) <= MOST_LINES, f"{file} has {len(text.splitlines())} lines"


MOST_MODULES = 12
# Found by Django or Python under their names, so they are no rooms of somebody's choice.
NOT_COUNTED = {"__init__", "__main__", "apps", "models"}


def modules(folder: Path) -> int:
    """How many modules lie in a folder itself; models, migrations and commands lie where Django looks for them."""
    return sum(file.stem not in NOT_COUNTED for file in folder.glob("*.py"))


def test_a_folder_is_a_room_of_at_most_a_dozen_modules(repository):
    # Tests lie in the room of what they test, however many it takes.
    for top in (*APPS, "chuizi", "sandbox", "bench", "fuzz"):
        for folder in {file.parent for file in (repository / top).rglob("*.py")}:
            name = str(folder.relative_to(repository))
            if not {"migrations", "management"} & set(folder.parts):
                assert modules(folder) <= MOST_MODULES, f"{name}: {modules(folder)} modules"


def test_tests_lie_in_the_rooms_of_what_they_test(repository):
    found = 0
    for top in (*APPS, "chuizi"):
        for folder in {file.parent for file in (repository / "tests" / top).glob("*/*.py")}:
            assert (repository / top / folder.name).is_dir(), f"{top} has no room for {folder}"
            found += 1
    assert found > 20, "the search finds nothing any more"


def test_the_one_asgi_application_names_its_parameters_as_servers_pass_them(repository):
    tree = ast.parse((repository / "chuizi" / "asgi.py").read_text(encoding="utf-8"))
    [application] = [n for n in tree.body if isinstance(n, ast.AsyncFunctionDef) and n.name == "application"]
    assert [argument.arg for argument in application.args.args] == ["scope", "receive", "send"]


PAGE = re.compile(r"[\w./-]*\b[\w-]+\.md\b")
HEADING = re.compile(
    r"([\w-]+\.md)`?(?:, \"([^\"]+)\"|#([\w-]+))"
)  # (ledger.md, "Months"), or a link's ledger.md#months
FILE = re.compile(r"(?<![\w./-])(?:[\w-]+/)*[\w-]+\.py\b")
ROOM = re.compile(r"`((?:[a-z_]+/)+)`")
MODULE = re.compile(rf"`((?:{'|'.join((*APPS, 'chuizi', 'sandbox'))})\.[a-z]\w*)")


def pages(repository: Path) -> list[tuple[Path, str]]:
    files = [*repository.glob("*.md"), *repository.glob("docs/**/*.md"), repository / "sandbox" / "README.md"]
    return [(file.relative_to(repository), file.read_text(encoding="utf-8")) for file in files]


def texts(repository: Path) -> Iterator[tuple[Path, str]]:
    """Pages and code, each as one line: what a comment breaks is found too."""
    for file, text in (*pages(repository), *sources(repository, *APPS, "chuizi", "bench", "fuzz", "sandbox")):
        yield file, re.sub(r"\n\s*(# )?", " ", text)


def test_every_page_that_code_or_pages_name_is_there(repository):
    names = {file.name for file, _text in pages(repository)}
    for file, text in (*texts(repository), *sources(repository, "tests")):
        for named in PAGE.findall(text):
            there = (repository / named.removeprefix("/")).exists() or named.split("/")[-1] in names
            assert there or "//" in named, f"{file}: {named}"


def test_every_heading_that_code_or_pages_name_is_there(repository):
    headings = {(file.name, words) for file, text in pages(repository) for words in re.findall(r"(?m)^#+ (.+)$", text)}
    anchors = {(name, re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-")) for name, words in headings}
    found = [(file, *named) for file, text in texts(repository) for named in HEADING.findall(text)]
    assert found, "the search finds nothing any more"
    for file, page, words, anchor in found:
        assert (page, words) in headings or (page, anchor) in anchors, f"{file}: {page} has no {words or anchor}"


def test_every_file_and_folder_that_code_or_pages_name_is_there(repository):
    """`topups/orders.py` is enough where `payments/topups/orders.py` is meant."""
    folders = (*APPS, "chuizi", "sandbox", "bench", "fuzz", "tests", "docs", "templates", "deploy")
    there = [f"/{path.relative_to(repository)}" for folder in folders for path in (repository / folder).rglob("*")]
    there += [f"/{path.name}" for path in repository.iterdir()]
    ends = {path[at:] for path in there for at, letter in enumerate(path) if letter == "/"}
    found = set()
    for file, text in texts(repository):
        found |= {(file, f"/{name}") for name in FILE.findall(text)}
        found |= {(file, f"/{name[:-1]}") for name in ROOM.findall(text)}
        found |= {(file, "/" + name.replace(".", "/")) for name in MODULE.findall(text)}
    missing = sorted(f"{file}: {name[1:]}" for file, name in found if not {name, f"{name}.py"} & ends)
    assert not missing


def named_in(file: Path) -> set[str]:
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith(("#", "-")))
    return {re.split(r"[\[=<>; ]", line)[0].lower() for line in lines}


def test_every_package_that_is_imported_is_named_as_a_requirement(repository):
    """What another package happens to bring along may leave with its next version."""
    run, local, dev = (named_in(repository / f"requirements{which}.in") for which in ("", "-local", "-dev"))
    distributions = packages_distributions()
    ours = {*APPS, "chuizi", "sandbox", "bench", "fuzz", "tests"}
    missing = set()
    for folders, named in (((*APPS, "chuizi", "sandbox"), run), (("bench", "fuzz", "tests"), run | local | dev)):
        for file, text in sources(repository, *folders):
            if file.is_relative_to("tests/clients/langchain"):
                continue  # run by another Python, with the packages that its own list names
            allowed = named | local if file.parts[:2] == ("chuizi", "local") else named
            for package in {name.partition(".")[0] for name in imports(text)} - sys.stdlib_module_names - ours:
                if not {name.lower().replace("_", "-") for name in distributions.get(package, ())} & allowed:
                    missing.add(f"{file}: {package}")
    assert not missing


def pinned(file: Path) -> set[str]:
    return set(re.findall(r"(?m)^[a-z0-9][\w.-]*==[\w.]+", file.read_text()))


def test_production_installs_none_of_the_embedded_servers(repository):
    names = {pin.partition("==")[0] for pin in pinned(repository / "requirements.txt")}
    assert names
    assert not names & named_in(repository / "requirements-local.in")


def test_what_is_tested_is_what_production_installs(repository):
    run, local, dev = (pinned(repository / f"requirements{which}.txt") for which in ("", "-local", "-dev"))
    assert run < local < dev
