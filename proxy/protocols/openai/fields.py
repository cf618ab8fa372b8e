"""The fields of a chat completion: those that we read or set, and those that no caller may set."""

from collections.abc import Iterable

from proxy.protocols.base import BadRequest

LIMITS = ("max_completion_tokens", "max_tokens")
OURS = frozenset({"model", "stream_options", "service_tier", *LIMITS})
"""Written anew by us; the rest of the body goes upstream as it came."""
READ = frozenset(
    {
        *OURS,
        *("stream", "n", "messages", "tools", "functions", "modalities", "prediction"),
        *("web_search_options", "search_parameters"),
    }
)
OTHER_LIMITS = frozenset(
    {
        *("max_new_tokens", "max_output_tokens", "max_gen_len", "max_length", "n_predict", "num_predict"),
        *("maxOutputTokens", "maxTokens", "max_tokens_to_sample"),
    }
)
"""Names under which other servers know the limit: what they read would not be what was held."""
STEERING = frozenset(
    {
        # OpenRouter: another model, another provider at another price, and what runs there.
        *("models", "provider", "route", "plugins", "preset", "max_price"),
        # LiteLLM: another deployment, another address, another key, another price.
        *("fallbacks", "context_window_fallback_dict", "content_policy_fallbacks", "default_fallbacks", "model_list"),
        *("api_base", "base_url", "api_key", "api_version", "api_type", "organization", "deployment", "deployment_id"),
        *("custom_llm_provider", "extra_body", "extra_headers", "extra_query", "headers", "num_retries", "max_retries"),
        *("mock_response", "mock_tool_calls", "input_cost_per_token", "output_cost_per_token", "model_info"),
        *("litellm_params", "litellm_metadata", "specific_deployment", "guardrails", "cache", "caching", "no-log"),
        # vLLM and kin: more is written than is returned.
        *("best_of", "use_beam_search", "num_beams", "num_return_sequences", "best_of_n"),
        # Azure: search in data of one's own, billed by itself.
        *("data_sources", "dataSources", "extra_parameters"),
        # Relays: what is bought apart, or kept at the operator's.
        *("enable_search", "search_options", "search_mode", "web_search", "online"),
        *("callback_url", "webhook", "webhook_url"),
    }
)
"""By which an upstream would call, do or charge something else than what was asked and held."""
REFUSED = {name.casefold() for name in STEERING | OTHER_LIMITS}


def refuse_steering(names: Iterable[str]) -> None:
    """Raise `BadRequest` naming a field that would make an upstream do or charge something else."""
    for name in names:
        if name.casefold() in REFUSED:
            raise BadRequest(f"`{name}` is not on offer here.", param=name)
