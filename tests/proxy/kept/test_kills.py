"""A gateway that is killed after an upstream took a job leaves it to nobody or to the task, and no hold for good."""

import os
import signal
import threading

import httpx2 as httpx
import pytest
from aiohttp import web
from django.db.models import F

from accounts.keys import issuing
from billing.audit.run import audit
from billing.models import Hold, Wallet
from proxy.gateway.routes import ROUTES
from proxy.kept import looking
from proxy.models import Generation, Job, Kept, Lease
from proxy.prices.loading import load_catalog
from proxy.settlement.settle import settle_all, sweep
from tests.conftest import NOW
from tests.gateways import GatewayProcess
from tests.proxy.conftest import catalog
from tests.proxy.protocols.seam.test_seam import json
from tests.proxy.protocols.seam.toys import ToyUpstream
from tests.spoken_responses import response

NAME = "resp_" + "bGl0ZWxsbTpj" * 20 + "=="
"""As a gateway in between has it, with the way there in it."""
BEGUN = response(id=NAME, status="queued", output=[], usage=None, background=True)


def audited() -> list[str]:
    found: list[str] = []
    audit(tell=found.append)
    return found


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_gateway_is_killed_once_its_upstream_has_a_job(customer, settings, is_committed):
    upstream, taken = ToyUpstream(), threading.Event()
    load_catalog(catalog(upstream))
    key = issuing.issue(customer=customer, name="k", now=NOW).text
    gateway = GatewayProcess(ALLOW_PRIVATE_UPSTREAMS="true").wait()

    async def dies(request: web.Request) -> web.StreamResponse:
        await request.read()
        os.kill(gateway.process.pid, signal.SIGKILL)
        taken.set()
        return web.json_response(BEGUN)

    upstream.answers["/responses"] = json(**BEGUN)
    upstream.answers[f"/responses/{NAME}"] = json(**response(id=NAME, background=True))
    upstream.handler = None if is_committed else dies
    asked = {"model": "openai/m", "input": "hello", "background": True, "max_output_tokens": 100}
    with httpx.Client(base_url=gateway.url, timeout=30, headers={"Authorization": f"Bearer {key}"}) as client:
        if is_committed:
            assert client.post("/v1/responses", json=asked).json() == {**BEGUN, "model": "openai/m"}
            gateway.kill()
        else:
            with pytest.raises(httpx.TransportError):
                client.post("/v1/responses", json=asked)
            assert taken.wait(10)
    upstream.handler = None
    Lease.objects.all().delete()
    assert sweep(now=NOW) == (0 if is_committed else 1)
    Job.objects.update(next_look_at=F("created_at"))
    assert looking.look_at_all(ROUTES.keeper) == is_committed
    settle_all(now=NOW)
    generation, hold, wallet = Generation.objects.get(), Hold.objects.get(), Wallet.objects.get()
    assert (generation.state, hold.kind) == (("settled", "job") if is_committed else ("released", "request"))
    assert wallet.held == 0
    assert (generation.cost > 0) is Kept.objects.exists() is is_committed
    assert audited() == []
    upstream.stop()
