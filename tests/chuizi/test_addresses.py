"""Which address a request comes from, and which addresses are public."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from accounts.models import ApiKey
from chuizi import values
from core import addresses
from proxy.prices.loading import InvalidCatalog, checked_base_url


def networks(*texts: str):
    return tuple(addresses.ip_network(text) for text in texts)


@pytest.mark.parametrize(
    ("depth", "trusted", "peer", "forwarded", "client"),
    [
        (0, (), "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (1, (), "192.0.2.1", "", "192.0.2.1"),
        (1, (), "192.0.2.1", "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        (2, (), "192.0.2.1", "203.0.113.66,198.51.100.7,10.0.0.2", "198.51.100.7"),
        (2, (), "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (1, (), "192.0.2.1", "198.51.100.7:4711", "198.51.100.7"),
        (1, (), "192.0.2.1", '"[2a00::7]:4711"', "2a00::7"),
        (1, (), "192.0.2.1", "::ffff:198.51.100.7", "198.51.100.7"),
        (1, (), "192.0.2.1", "198.51.100.7, unknown", "192.0.2.1"),
        (1, ("10.0.0.0/8",), "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (1, ("10.0.0.0/8",), "10.0.0.2", "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        (2, ("10.0.0.0/8",), "10.0.0.2", "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        (2, ("10.0.0.0/8",), "10.0.0.2", "198.51.100.7, 10.0.0.1", "198.51.100.7"),
        (0, ("10.0.0.0/8",), "10.0.0.2", "203.0.113.66, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
        (0, ("10.0.0.0/8",), "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (0, ("10.0.0.0/8",), "::ffff:10.0.0.2", "198.51.100.7", "198.51.100.7"),
        (0, ("10.0.0.0/8",), "10.0.0.2", "10.0.0.9, 10.0.0.1", "10.0.0.9"),
        (0, ("10.0.0.0/8",), "", "198.51.100.7", ""),
    ],
)
def test_the_clients_address_is_what_our_own_proxies_wrote(settings, depth, trusted, peer, forwarded, client):
    settings.TRUSTED_PROXY_DEPTH, settings.TRUSTED_PROXIES = depth, networks(*trusted)
    assert addresses.client_address(peer=peer, forwarded_for=forwarded) == client


@pytest.mark.parametrize("text", ["10.0.0.0/8,nonsense", "0.0.0.0/0", "::/0", "10.0.0.0/33"])
def test_trusted_proxies_that_cannot_be_meant_stop_the_start(monkeypatch, text):
    monkeypatch.setenv("TRUSTED_PROXIES", text)
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES"):
        values.networks("TRUSTED_PROXIES")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/credits"])
@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For"])
def test_a_second_line_of_forwarded_for_is_the_proxys(gateway, send_bytes, settings, path, name):
    """HAProxy adds its own line at the end and leaves the client's; pages and gateway read the same."""
    settings.TRUSTED_PROXY_DEPTH = 1
    ApiKey.objects.update(allowed_ips=["203.0.113.7"])
    method, body = ("POST", b"{}") if "chat" in path else ("GET", b"")
    forged = f"{method} {path} HTTP/1.1\n{name}: 203.0.113.7\nX-Forwarded-For: 198.51.100.1\n"
    status, answer = send_bytes(forged, body)
    assert (status, "ip_not_allowed" in answer) == (403, True)
    honest = f"{method} {path} HTTP/1.1\n{name}: 198.51.100.1\nX-Forwarded-For: 203.0.113.7\n"
    assert send_bytes(honest, body)[0] in (200, 400)


PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
NOT_PUBLIC = [
    *("127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "255.255.255.255", "224.0.1.1", "240.0.0.1"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.0.8", "192.88.99.1", "239.255.255.250"),
    *("::", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::e000:1", "64:ff9b:1::808:808", "2002:7f00:1::1", "2002:a9fe:a9fe::1"),
    *("2001:0:808:808:0:ffff:80ff:fffe", "2001::1", "2001:db8::1", "3fff::1", "3ffe::1", "fe80::1", "fe80::1%eth0"),
    *("fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "100::1", "4000::1", "5f00::1", "2606:4700::1%1"),
    *("127.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.0.0.1.", "localhost", "", "168.63.129.16"),
]
OUR_OWN = ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "fd12::1", "::ffff:10.0.0.1"]
NOBODYS = [
    *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "::", "224.0.0.1"),
    *("100.64.0.1", "8.8.8.8", "2606:4700::1111", "127.1", "localhost", ""),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_machine_of_the_public_network_is_public(address):
    assert addresses.is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_local_special_for_many_or_hides_such_an_address_is_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize(("address", "is_ours"), [*((a, True) for a in OUR_OWN), *((a, False) for a in NOBODYS)])
def test_our_own_are_this_machine_and_private_networks_and_never_a_clouds_metadata(address, is_ours):
    assert addresses.is_our_own(address) is is_ours


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "2130706433", "0177.0.0.1", "0x7f000001", "127.0.0.1.", "127。0。0。1", "１２７.0.0.1", "①27.0.0.1"),
        *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fec0::1]", "[ff0e::1]", "[fe80::1%25eth0]", "10.1"),
    ],
)
def test_an_upstreams_address_is_public_in_every_spelling(settings, host):
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    with pytest.raises(InvalidCatalog, match="public address"):
        checked_base_url(f"https://{host}/v1", "upstream 'x'")
    assert checked_base_url("https://8.8.8.8/v1/", "upstream 'x'") == "https://8.8.8.8/v1"
