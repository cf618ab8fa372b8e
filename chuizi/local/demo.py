"""What a newcomer finds on the first `make run`: a catalog, a customer with a key and a month behind it, and staff."""

import os
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction

from accounts.keys import issuing
from accounts.limits.spending import COLUMNS, Spending
from accounts.models import ApiKey, Customer, KeyMeter, User
from accounts.people import signup
from billing.books import holds
from billing.books.grants import grant_bonus
from billing.books.money import usd
from billing.models import Hold, InvoiceSeries, Wallet
from billing.months import journal
from billing.statements import closing
from chuizi.local.state import state_dir, write_private
from proxy.ids import new_generation_id
from proxy.models import Generation, Model, Upstream
from proxy.prices.genai import WELL_KNOWN, catalog_data
from proxy.prices.loading import load_catalog
from proxy.prices.sums import cost_of
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.settlement import settle

CUSTOMER_EMAIL = "demo@chuizi.example"
STAFF_EMAIL = "staff@chuizi.example"
UPSTREAM = "sandbox"
NATIVE = {"anthropic": ("anthropic", "sandbox-anthropic"), "google": ("gemini", "sandbox-gemini")}
"""The same model behind other protocols than chat's: by provider, the protocol and the upstream's name."""
EMBEDDING = {
    "id": "google/gemini-embedding-001",
    "name": "Gemini Embedding",
    "upstreams": ["sandbox-gemini"],
    "upstream_model": "gemini-embedding-001",
    "price": {"input": "0.15"},
}
KEY = "sk-upstream-sandbox"
PAST_MODELS = ("openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-6", "deepseek/deepseek-chat", "openai/gpt-4.1-nano")
DAYS = 30
BESIDE_CHAT: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("openai/gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", {"input": "1.50", "output": "2"}),
    ("openai/text-embedding-3-small", "text-embedding-3-small", {"input": "0.02"}),
    ("openai/omni-moderation-latest", "omni-moderation", {"request": "0"}),
    ("cohere/rerank-v3.5", "Rerank 3.5", {"search": "2"}),
    ("openai/gpt-image-1", "gpt-image-1", {"input_text": "5", "input_image": "10", "output_image": "40"}),
    (
        "openai/dall-e-3",
        "DALL-E 3",
        {
            "image": "0.04",
            "variants": [
                {"when": {"size": "1024x1024", "quality": "hd"}, "image": "0.08"},
                {"when": {"quality": "hd"}, "image": "0.12"},
                {"when": {"size": "1024x1792"}, "image": "0.08"},
                {"when": {"size": "1792x1024"}, "image": "0.08"},
            ],
        },
    ),
    ("openai/whisper-1", "Whisper", {"second": "0.0001"}),
    ("openai/gpt-4o-transcribe", "gpt-4o-transcribe", {"input": "2.50", "input_audio": "6", "output": "10"}),
    ("openai/tts-1", "tts-1", {"character": "15"}),
    ("openai/gpt-4o-mini-tts", "gpt-4o-mini-tts", {"input": "0.60", "output_audio": "12"}),
)
"""A model for each path beside chat and messages: its id, its name, and USD before the margin."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is printed at each start; kept in the state folder, readable by its owner alone."""

    customer_password: str
    staff_password: str
    key: str


def seed(*, now: datetime) -> str:
    """Make what is missing, and return what to print."""
    folder = state_dir(os.environ)
    load_demo_catalog(now=now)
    made = _secrets(folder)
    with transaction.atomic():
        customer = _customer(made, now=now)
        _staff(made)
        _invoice_series(now=now)
        key = _key(customer, made, now=now)
    if not Generation.objects.filter(customer=customer).exists():
        make_history(customer=customer, key=key, now=now)
        journal.close_days(now=now)
        closing.close_due(now=now)
        journal.run_audit(now=now)  # the first of every night's: the desk has nothing red to begin with
    return (
        f"demo login   {CUSTOMER_EMAIL}  {made.customer_password}\n"
        f"staff login  {STAFF_EMAIL}  {made.staff_password}  (at /admin/)\n"
        f"demo API key {made.key}{_mails()}"
    )


def _mails() -> str:
    """Where the link of a sign-up is, if mails are kept in a folder."""
    kept = settings.EMAIL_BACKEND.endswith(".filebased.EmailBackend")
    return f"\nmails        {getattr(settings, 'EMAIL_FILE_PATH', '')}" if kept else ""


def load_demo_catalog(*, now: datetime) -> None:
    """Well-known models at the sandbox's upstream, unless there is a catalog already."""
    url = os.environ.get("SANDBOX_URL", "http://127.0.0.1:8001") + "/upstream/v1"
    if not Model.objects.exists():
        load_models(url=url, now=now)
    # The sandbox's port may be another than last time. Who entered a provider's address and key instead keeps them.
    stale = Upstream.objects.filter(
        name__in=(UPSTREAM, *(name for _protocol, name in NATIVE.values())), base_url__endswith="/upstream/v1"
    ).exclude(base_url=url)
    stale.update(base_url=url, api_key=KEY)


def load_models(*, url: str, now: datetime) -> None:
    """All of the demo's, at the sandbox with that base URL."""
    spoken = {UPSTREAM: "openai", **{name: protocol for protocol, name in NATIVE.values()}}
    upstreams = [
        {"name": name, "protocol": protocol, "base_url": url, "api_key": KEY} for name, protocol in spoken.items()
    ]
    models = catalog_data(WELL_KNOWN, upstream=UPSTREAM, at=now)
    for model in models:
        if (native := NATIVE.get(model["id"].partition("/")[0])) is not None:
            model["upstreams"] = [UPSTREAM, native[1]]
    load_catalog({"upstreams": upstreams, "models": models}, is_listed=True)
    load_catalog({"models": [*models_beside_chat(upstream=UPSTREAM), EMBEDDING]})


def models_beside_chat(*, upstream: str) -> list[dict[str, Any]]:
    """The `models` part of a catalog in which all of them go to one upstream under their own names."""
    return [
        {"id": slug, "name": name, "upstreams": [upstream], "upstream_model": slug.partition("/")[2], "price": price}
        for slug, name, price in BESIDE_CHAT
    ]


def _invoice_series(*, now: datetime) -> None:
    """A seller nobody takes for a real one, so that a first invoice can be made."""
    if not InvoiceSeries.objects.exists():
        InvoiceSeries.objects.create(
            prefix=f"DEMO-{now:%Y}-",
            tax_rate=Decimal("0.0600"),
            seller_name_en="Demo seller (enter your own)",
            seller_name_zh="演示销售方（请填写您自己的信息）",
            seller_address_en="Invoice series, in the admin",
            seller_address_zh="管理后台：账单序列",
        )


def _secrets(folder: Path) -> Secrets:
    made = []
    for name in ("demo-password", "staff-password", "demo-api-key"):
        file = folder / name
        if not file.exists():
            text = secrets.token_urlsafe(9)
            if name == "demo-api-key":
                text = issuing.new_text()
            write_private(file, text)
        made.append(file.read_text(encoding="ascii").strip())
    return Secrets(*made)


def _customer(made: Secrets, *, now: datetime) -> Customer:
    user = User.objects.filter(email=CUSTOMER_EMAIL).first()
    if user is None:
        user = User.objects.create_user(CUSTOMER_EMAIL, made.customer_password, name="Demo")
        EmailAddress.objects.create(user=user, email=CUSTOMER_EMAIL, verified=True, primary=True)
    return signup.confirm(user=user, address="", now=now - timedelta(days=DAYS + 1))


def _staff(made: Secrets) -> None:
    if not User.objects.filter(email=STAFF_EMAIL).exists():
        user = User.objects.create_superuser(STAFF_EMAIL, made.staff_password, name="Staff")
        EmailAddress.objects.create(user=user, email=STAFF_EMAIL, verified=True, primary=True)


def _key(customer: Customer, made: Secrets, *, now: datetime) -> ApiKey:
    found = issuing.find(made.key)
    if found is not None:
        return found
    issued = issuing.issue(customer=customer, name="Demo", now=now, rpm_limit=600)
    past = {"prefix": made.key[:7], "sha256": issuing.digest(made.key), "created_at": now - timedelta(days=DAYS)}
    ApiKey.objects.filter(pk=issued.key.pk).update(**past)
    return ApiKey.objects.get(pk=issued.key.pk)


def make_history(*, customer: Customer, key: ApiKey, now: datetime) -> None:
    """A month of requests, posted through the same functions as real ones, paid from a bonus."""
    chance = random.Random(7)  # noqa: S311 - a demo, the same each time
    start = now - timedelta(days=DAYS)
    grant_bonus(customer=customer, amount=usd("25"), key="demo:history", reason="Demo credit", now=start)
    models = {model.slug: model for model in Model.objects.filter(slug__in=PAST_MODELS).prefetch_related("prices")}
    moments = sorted(
        start + timedelta(days=day, seconds=chance.randrange(8 * 3600, 20 * 3600))
        for day in range(DAYS)
        for _ in range(chance.choice((0, 2, 3, 5, 6, 8)))
    )
    for moment in moments:
        if moment < now - timedelta(minutes=1) and Wallet.objects.get(customer=customer).available > 1:
            past_request(models[chance.choice(PAST_MODELS)], customer, key, moment, chance)
    settle.settle_all(now=now)


def past_request(model: Model, customer: Customer, key: ApiKey, moment: datetime, chance: random.Random) -> None:
    """A request of then, held, metered and settled."""
    price = PriceVersion.from_row(model.prices.order_by("-version")[0])
    usage = Usage(input_tokens=chance.randrange(200, 9000), output_tokens=chance.randrange(50, 1500))
    cost = cost_of(price, usage)
    bound = cost_of(price, Usage(input_tokens=usage.input_tokens * 3, output_tokens=4096)).charged
    latency = chance.randrange(250, 1800)
    metered_at = moment + timedelta(milliseconds=latency + usage.output_tokens * 12)
    generation_id = new_generation_id(int(moment.timestamp() * 1e9))
    with transaction.atomic():
        holds.place(customer_id=customer.pk, key=generation_id, kind=Hold.Kind.REQUEST, amount=bound, now=moment)
        Generation.objects.create(
            pk=generation_id,
            customer=customer,
            key=key,
            model=model,
            price_id=price.id,
            upstream=Upstream.objects.get(name=UPSTREAM),
            protocol="openai",
            streamed=chance.random() < 0.5,
            state=Generation.State.METERED,
            bound=bound,
            held=bound,
            created_at=moment,
            metered_at=metered_at,
            usage_source=Generation.UsageSource.UPSTREAM,
            settlement_reason=Generation.Reason.COMPLETED,
            finish_reason="stop",
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            native_input_tokens=usage.input_tokens,
            native_output_tokens=usage.output_tokens,
            upstream_cost=cost.upstream,
            cost=cost.charged,
            latency_ms=latency,
            generation_time_ms=latency + usage.output_tokens * 12,
        )
        _count(key, bound, moment)
    settle.settle(now=metered_at + timedelta(milliseconds=chance.randrange(200, 1500)))


def _count(key: ApiKey, held: Decimal, moment: datetime) -> None:
    """Count the hold on the key's meter, as admission does; settlement corrects it."""
    meter = KeyMeter.objects.get(key=key)
    spending = Spending.of(meter)
    spending.count(moment.astimezone(UTC).date(), held)
    sums = zip(COLUMNS, [spending.day, *spending.spent, *spending.charged], strict=True)
    KeyMeter.objects.filter(pk=meter.pk).update(last_used_at=moment, **dict(sums))
