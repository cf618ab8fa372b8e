"""A client cannot write its own address, whichever proxy it comes through."""

import httpx2 as httpx
import pytest

from accounts.keys import issuing
from tests.chuizi.server.proxies import proxy
from tests.conftest import NOW
from tests.gateways import GatewayProcess

BOUND = "203.0.113.7"
LIES = [
    [("X-Forwarded-For", BOUND)],
    [("X-Forwarded-For", BOUND), ("X-Forwarded-For", BOUND)],
    [("X-Forwarded-For", f"{BOUND}, {BOUND}")],
    [("X_Forwarded_For", BOUND)],
    [("Forwarded", f"for={BOUND}"), ("X-Real-IP", BOUND)],
]


@pytest.mark.parametrize("name", ["haproxy", "nginx", "nginx with WebSockets"])
@pytest.mark.parametrize("trusted", ["", "127.0.0.1/32"])
def test_a_keys_addresses_hold_whatever_the_client_says_it_is(transactional_db, customer, tmp_path, name, trusted):
    elsewhere = issuing.issue(customer=customer, name="k", now=NOW, allowed_ips=[BOUND]).text
    here = issuing.issue(customer=customer, name="k", now=NOW, allowed_ips=["127.0.0.1"]).text
    server = GatewayProcess(TRUSTED_PROXY_DEPTH="1", TRUSTED_PROXIES=trusted).wait()
    with proxy(name, port=server.port, folder=tmp_path) as port:
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/credits")):
            for lie in LIES:
                answers = [
                    httpx.request(
                        method,
                        f"http://127.0.0.1:{port}{path}",
                        headers=[("Authorization", f"Bearer {key}"), *lie],
                        content=b"{}" if method == "POST" else None,
                        timeout=20,
                    )
                    for key in (elsewhere, here)
                ]
                assert answers[0].status_code == 403, lie
                assert answers[0].json()["error"]["code"] == "ip_not_allowed"
                assert answers[1].status_code in (200, 400), lie
