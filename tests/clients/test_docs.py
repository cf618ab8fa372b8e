"""Every example of docs/api.md does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
SECTION = re.compile(r"^## (`(?:POST|Idempotency-Key).*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HOW = {"sh": ["bash", "-ec"], "python": [sys.executable, "-c"]}
EXAMPLES = {
    f"{title} {number}": [*HOW[language], code]
    for title, text in SECTION.findall(PAGE.read_text(encoding="utf-8"))
    for number, (language, code) in enumerate(EXAMPLE.findall(text))
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(served, tmp_path, name):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT_")}
    environment |= {"CHUIZI_URL": served.url, "CHUIZI_KEY": served.key, "no_proxy": "127.0.0.1"}
    done = subprocess.run(EXAMPLES[name], capture_output=True, env=environment, cwd=tmp_path, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    made = done.stdout or b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert made
    assert b'"error":{' not in made


def test_every_path_has_an_example():
    from proxy.gateway.routes import ROUTES
    from proxy.protocols.openai.answering import PlainEndpoint

    paths = {
        endpoint.path
        for route in ROUTES._by_path.values()
        for endpoint in route.values()
        if isinstance(endpoint, PlainEndpoint)
    }
    told = " ".join(title for title, _text in SECTION.findall(PAGE.read_text(encoding="utf-8")))
    assert {path for path in paths if f"{path}`" not in told} == set()
