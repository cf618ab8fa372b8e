"""What a key may do, as a gateway process keeps it until a version has moved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from accounts.keys.wildcards import Allowed
from accounts.limits.periods import zone_of
from accounts.limits.spending import Caps, caps_of
from accounts.roles import Right, Scope, roles_with

Network = IPv4Network | IPv6Network
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a key may do, as of `version` of the key and `customer_version` of its customer. Caps in USD."""

    key_id: int
    customer_id: int
    version: int
    customer_version: int
    ends: float
    """When it expires, by `time.monotonic`; infinity for never."""
    models: Allowed = field(default_factory=Allowed)
    networks: tuple[Network, ...] = ()
    rpm: int = 0
    customer_rpm: int = 0
    at_once: int | None = None
    """Requests under way at most; None for no limit."""
    caps: Caps = ()
    member_caps: Caps = ()
    """What all keys of its maker may spend together."""
    zone: tzinfo = UTC
    """Of its account: where days begin."""
    factor: Decimal = ONE
    """What its customer's group pays of each price."""
    visible: frozenset[str] = frozenset()
    """The models that its customer's group sees; all, if none."""
    may_call: bool = True
    """Whether its scopes and its maker's role allow calls of models, and the key that it ends with works."""
    purse: str = ""
    """The hold that its calls spend from, and nothing else; "" for the wallet."""

    def allows_address(self, address: str) -> bool:
        return address_allowed(address, self.networks)


def address_allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; no networks means everywhere."""
    if not networks:
        return True
    try:
        client = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(client, "ipv4_mapped", None)
    return any((mapped or client) in network for network in networks)


_CALLING_ROLES = ", ".join(f"'{role}'" for role in roles_with(Right.CALL))
READ_POLICIES = (
    "WITH asked AS (SELECT unnest(%s::text[]) AS sha256), named AS ("
    "SELECT sha256, id, NULL::timestamptz AS works_until FROM accounts_apikey JOIN asked USING (sha256) UNION ALL"
    " SELECT sha256, key_id, works_until FROM accounts_formertext JOIN asked USING (sha256))"
    " SELECT t.sha256, k.id, k.customer_id, m.version, c.version,"
    " extract(epoch FROM least(k.expires_at, t.works_until, p.expires_at) - clock_timestamp())::float8,"
    " k.allowed_models, k.allowed_ips, k.rpm_limit, coalesce(u.rpm_limit, g.rpm_limit),"
    f" '{Scope.INFERENCE}' = ANY(k.scopes) AND (k.by_operator OR coalesce(s.role IN ({_CALLING_ROLES}), false))"
    " AND coalesce(p.is_active, true),"
    " coalesce(g.factor, 1), coalesce(g.models, '{}'), u.time_zone, k.concurrency_limit,"
    " k.daily_limit, k.weekly_limit, k.monthly_limit, k.total_limit,"
    " s.daily_limit, s.weekly_limit, s.monthly_limit, s.total_limit, coalesce(h.purse, '')"
    " FROM named t JOIN accounts_apikey k ON k.id = t.id JOIN accounts_keymeter m ON m.key_id = k.id"
    " JOIN accounts_customermeter c ON c.customer_id = k.customer_id"
    " JOIN accounts_customer u ON u.id = k.customer_id"
    " LEFT JOIN accounts_membership s ON s.user_id = k.created_by_id AND s.customer_id = k.customer_id"
    " LEFT JOIN accounts_childkey h ON h.key_id = k.id LEFT JOIN accounts_apikey p ON p.id = h.made_with_id"
    ' LEFT JOIN accounts_customergroup g ON g.name = u."group"'
)


def policy_from_row(
    row: Sequence[Any], *, asked_at: float, default_rpm: int, default_customer_rpm: int
) -> tuple[str, KeyPolicy]:
    """A row of READ_POLICIES, asked at that moment of `time.monotonic`, as (sha256, policy)."""
    return row[0], KeyPolicy(
        key_id=row[1],
        customer_id=row[2],
        version=row[3],
        customer_version=row[4],
        ends=math.inf if row[5] is None else asked_at + row[5],
        models=Allowed(row[6]),
        networks=tuple(ip_network(text, strict=False) for text in row[7]),
        rpm=default_rpm if row[8] is None else row[8],
        customer_rpm=default_customer_rpm if row[9] is None else row[9],
        may_call=row[10],
        factor=row[11],
        visible=frozenset(row[12]),
        zone=zone_of(row[13]),
        at_once=row[14],
        caps=caps_of(row[15:19]),
        member_caps=caps_of(row[19:23]),
        purse=row[23],
    )
