"""schemathesis finds nothing: what the description allows is taken, what it does not is refused, answers are as told.

CI has `SECONDS`; `make schemathesis SECONDS=600` looks longer, and goes through sequences of requests too.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from django.db import connection

from accounts.keys import issuing
from api.reference import document
from tests.conftest import NOW
from tests.gateways import GatewayProcess

SECONDS = os.environ.get("SCHEMATHESIS_SECONDS", "")
PHASES = "examples,coverage,fuzzing,stateful" if SECONDS else "examples,coverage"
CONFIG = Path(__file__).with_name("schemathesis.toml")
OUT_OF_REACH = 900_000_000
"""Ids from here on are tried by nothing that counts from one: the key that asks is not ended by its own requests."""


@pytest.mark.timeout(int(SECONDS or 0) + 240)
def test_it_finds_nothing(transactional_db, customer, tmp_path, settings):
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('accounts_apikey', 'id'), %s)", [OUT_OF_REACH])
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["inference", "read", "keys", "billing"]).text
    # Nothing answers for the payment providers here: they are off.
    off = dict.fromkeys(settings.PAYMENT_VARIABLES, "")
    no_rates = dict.fromkeys(("API_KEY_RPM", "API_CUSTOMER_RPM", "API_ADDRESS_RPM"), "0")
    server = GatewayProcess(MOST_KEYS="100000", **off, **no_rates).wait()
    described = tmp_path / "openapi.json"
    described.write_bytes(document.rendered(document.OpenApiJsonRenderer()))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", str(described)]
    command += ["--url", server.url, "--header", f"Authorization: Bearer {key}", "--exclude-tag", "Models"]
    command += ["--checks", "all", "--phases", PHASES, "--suppress-health-check", "all"]
    command += ["--continue-on-failure", "--max-time", SECONDS or "25"]
    if not SECONDS:
        command += ["--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=int(SECONDS or 0) + 200)
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr[-2_000:]
    assert httpx.get(f"{server.url}/v1/credits", headers={"x-api-key": key}).status_code == 200, "the key was ended"
    server.stop()
