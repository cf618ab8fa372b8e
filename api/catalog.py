"""REST: the models on offer, one request's record, and the key in hand."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.groups import CustomerGroup, group_of
from accounts.keys.wildcards import Allowed
from accounts.limits.periods import start_of, zone_of
from accounts.models import ApiKey
from api import budgets, model_shapes
from api.common.authentication import caller
from api.common.base import ApiError
from api.common.caps import limits_of
from billing.books.money import ZERO, api_amount
from billing.models import Wallet
from proxy.models import Generation
from proxy.prices import catalog
from proxy.prices.sums import LineItem
from proxy.prices.versions import Amount, Rates, Tier, Variant
from proxy.records import one
from proxy.records.held import HoldChange, changes_of


class ListView(APIView):
    """Errors have the shape of the list that was asked for."""

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if model_shapes.is_gemini(self.request):
            response.data = model_shapes.gemini_error(response.status_code, response.data["error"]["message"])
        return response


class ModelsView(ListView):
    """The models that this key may use, in OpenAI's shape, with their prices before the margin.

    Where `anthropic-version` is sent, in Anthropic's: a page by `limit` and `after_id`, bare names too. Where
    `x-goog-api-key` is sent, in Gemini's: a page by `pageSize` and `pageToken`. Where the address has `client_version`,
    the catalog that Codex reads.
    """

    @extend_schema(operation_id="models_list", responses={200: dict})
    def get(self, request: Request) -> Response:
        key, group = caller(request).key, group_of(caller(request).customer.group)
        entries = {name: entry for name, entry in catalog.load().models.items() if _may_use(key, group, entry)}
        if model_shapes.is_anthropic(request):
            return _with_request_id(request, model_shapes.anthropic_list(request, entries))
        if model_shapes.is_gemini(request):
            return Response(model_shapes.gemini_list(request, entries))
        if model_shapes.is_codex(request):
            return Response(model_shapes.codex_list(entries))
        slugs = sorted(name for name, entry in entries.items() if name == entry.slug)
        return Response({"object": "list", "data": [_model(entries[slug].at(group.factor)) for slug in slugs]})


class ModelView(ListView):
    """One model, by its id or a bare alias."""

    @extend_schema(operation_id="models_retrieve", responses={200: dict})
    def get(self, request: Request, model_id: str) -> Response:
        entry, group = catalog.load().find(model_id), group_of(caller(request).customer.group)
        if entry is None or not _may_use(caller(request).key, group, entry):
            raise ApiError(f"There is no model {model_id[:100]!r} here.", status=404, code="model_not_found")
        if model_shapes.is_anthropic(request):
            return _with_request_id(request, model_shapes.anthropic_model(model_id, entry))
        if model_shapes.is_gemini(request):
            return Response(model_shapes.gemini_model(model_id, entry))
        return Response(_model(entry.at(group.factor)))


@extend_schema(exclude=True)
class AnthropicModelsView(ModelsView):
    """The same below `/anthropic`."""


@extend_schema(exclude=True)
class AnthropicModelView(ModelView):
    """The same below `/anthropic`."""


@extend_schema(exclude=True)
class GeminiModelsView(ModelsView):
    """The same at Gemini's paths."""


@extend_schema(exclude=True)
class GeminiModelView(ModelView):
    """The same at Gemini's paths."""


def _with_request_id(request: Request, data: dict[str, Any]) -> Response:
    """Anthropic's clients look for it under this name."""
    return Response(data, headers={"Request-Id": request._request.request_id})  # type: ignore[attr-defined]


def _may_use(key: ApiKey, group: CustomerGroup, entry: catalog.Entry) -> bool:
    if not group.sees(entry.names):
        return False
    return Allowed(key.allowed_models).allows(entry.names)


def _model(entry: catalog.Entry) -> dict[str, Any]:
    ends = {"deprecated_on": entry.deprecated_on, "retired_on": entry.retired_on}
    return {
        "id": entry.slug,
        "object": "model",
        "created": 0,
        "owned_by": entry.slug.partition("/")[0],
        "context_window": entry.context_window,
        "max_output_tokens": entry.max_output_tokens,
        **{name: day.isoformat() for name, day in ends.items() if day is not None},
        "pricing": {
            "billing": entry.price.billing,
            "margin": f"{entry.price.margin.normalize():f}",
            **_rates(entry.price.rates),
            **({"tiers": _tiers(entry.price.tiers)} if entry.price.tiers else {}),
            **({"variants": [_variant(one) for one in entry.price.variants]} if entry.price.variants else {}),
        },
    }


def _rates(rates: Rates) -> dict[str, str]:
    return {name: f"{rate:f}" for name, rate in rates.items()}


def _tiers(tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    return [{"above": tier.above, **_rates(tier.rates)} for tier in tiers]


def _variant(variant: Variant) -> dict[str, Any]:
    tiers = {"tiers": _tiers(variant.tiers)} if variant.tiers else {}
    return {"when": dict(variant.when), **_rates(variant.rates), **tiers}


class GenerationView(APIView):
    """One request: what it used, what it cost, and what became of its hold."""

    @extend_schema(
        operation_id="generation_retrieve",
        parameters=[OpenApiParameter("id", str, required=True, description="Of an answer, its `X-Generation-Id`.")],
        responses={200: dict},
    )
    def get(self, request: Request) -> Response:
        generation_id = request.query_params.get("id", "")
        if not generation_id:
            raise ApiError("`id` is missing.", status=400, code="validation_error", param="id")
        generation = one.find(customer=caller(request).customer, generation_id=generation_id)
        if generation is None:
            raise ApiError("There is no such generation.", status=404, code="generation_not_found")
        return Response({"data": generation_data(generation)})


def generation_data(generation: Generation) -> dict[str, Any]:
    """A generation in the API's shape."""
    known = generation.metered_at is not None or generation.state == Generation.State.RELEASED
    quarantined = generation.state == Generation.State.QUARANTINED
    return {
        "id": generation.pk,
        "model": generation.model.slug,
        "provider": generation.model.provider,
        "streamed": generation.streamed,
        "input_tokens": generation.input_tokens,
        "output_tokens": generation.output_tokens,
        "cached_tokens": generation.cached_tokens,
        "cache_write_tokens": generation.cache_write_tokens,
        "reasoning_tokens": generation.reasoning_tokens,
        "native_input_tokens": generation.native_input_tokens,
        "native_output_tokens": generation.native_output_tokens,
        "cost": api_amount(generation.net_cost or ZERO) if known else None,
        "original_cost": api_amount(generation.cost or ZERO) if known else None,
        "given_back": api_amount(max(ZERO, (generation.cost or ZERO) - (generation.net_cost or ZERO)))
        if known
        else None,
        "upstream_cost": api_amount(generation.upstream_cost or ZERO) if known else None,
        "latency_ms": generation.latency_ms,
        "generation_time_ms": generation.generation_time_ms,
        "finish_reason": generation.finish_reason or None,
        "created_at": _time(generation.created_at),
        # A quarantined one waits for staff; to its customer it is metered and not yet settled.
        "status": Generation.State.METERED if quarantined else generation.state,
        "held": api_amount(generation.held),
        "bound": api_amount(generation.bound),
        "hold_changes": [_change(change) for change in changes_of(generation)],
        "guess": generation.guess,
        "usage_source": generation.usage_source,
        "usage": counts_in(one.counts_of(generation)),
        "session": generation.session,
        "service_tier": {"asked": generation.asked_tier or None, "served": generation.service_tier or None},
        "removed": generation.removed,
        "ignored": generation.ignored,
        "settlement_reason": generation.settlement_reason or None,
        "ended_by": generation.ended_by,
        "line_items": [_line(item) for item in one.line_items_of(generation)],
        "settled_at": _time(generation.settled_at),
    }


def _change(change: HoldChange) -> dict[str, int | str]:
    return {
        "after_ms": change.after_ms,
        "reason": change.why.value,
        "amount": api_amount(change.amount),
        "held": api_amount(change.held),
        "bound": api_amount(change.bound),
    }


def counts_in(counts: Mapping[str, Amount]) -> dict[str, int | str]:
    """Whole numbers as such, others as exact texts."""
    return {unit: _count(Decimal(count)) for unit, count in counts.items()}


def _count(quantity: Decimal) -> int | str:
    return int(quantity) if quantity == quantity.to_integral_value() else f"{quantity.normalize():f}"


def _line(item: LineItem) -> dict[str, str | int]:
    return {
        "unit": item.unit,
        "quantity": _count(item.quantity),
        "price": f"{item.price:f}",
        "amount": f"{item.amount.normalize():f}",
    }


class KeyInfoView(APIView):
    """The key in hand: its limits, its customer's balance, and what it used today, a day of the account's zone."""

    @extend_schema(operation_id="key_info_retrieve", responses={200: dict})
    def get(self, request: Request) -> Response:
        key, customer = caller(request).key, caller(request).customer
        wallet = Wallet.objects.get(customer=customer)
        zone = zone_of(customer.time_zone)
        midnight = start_of(timezone.now().astimezone(zone).date(), zone=zone)
        today = one.usage_since(customer=customer, moment=midnight, key=key)
        return Response(
            {
                "data": {
                    "key_prefix": key.prefix,
                    "name": key.name,
                    "group": customer.group,
                    "balance": api_amount(wallet.balance),
                    "held": api_amount(wallet.held),
                    "available": api_amount(wallet.available),
                    "currency": "USD",
                    "tier": "standard" if wallet.topped_up else "trial",
                    "rpm_limit": settings.DEFAULT_KEY_RPM if key.rpm_limit is None else key.rpm_limit,
                    "concurrency_limit": key.concurrency_limit,
                    **limits_of(key),
                    "time_zone": customer.time_zone,
                    "allowed_models": key.allowed_models,
                    "is_active": key.is_active,
                    "budget": budgets.of_key(key),
                    "usage_today": {"requests": today.requests, "tokens": today.tokens, "cost": api_amount(today.cost)},
                    "created_at": _time(key.created_at),
                    "last_used_at": _time(key.meter.last_used_at),
                }
            }
        )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
