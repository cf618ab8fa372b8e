"""The fields by which an upstream would call, do or charge something else than what was asked and held.

One list for every protocol and kind of upstream: a request may go to several, and behind a relay there may be any.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from proxy.protocols.base import BadRequest

OTHER_LIMITS = frozenset(
    {
        *("max_new_tokens", "max_output_tokens", "max_gen_len", "max_length", "n_predict", "num_predict"),
        *("max_tokens_to_sample", "tokens_to_generate", "max_gen_tokens", "max_output_length"),
        *("options", "parameters", "generation_config"),  # Ollama's, TGI's and Gemini's, with a limit of their own
    }
)
"""Names under which other servers know the limit: what they read would not be what was held."""
STEERING = frozenset(
    {
        # OpenRouter, Vercel: another model, another provider at another price, and what runs there.
        *("models", "provider", "route", "plugins", "preset", "max_price", "provider_options", "router", "targets"),
        *("fallback", "fallback_model", "fallback_models", "model_fallbacks", "backup_models"),
        # LiteLLM: another deployment, another address, another key, another price; a limit left out; a longer prompt.
        *("fallbacks", "context_window_fallback_dict", "content_policy_fallbacks", "default_fallbacks", "model_list"),
        *("openai_api_base", "openai_api_key", "api_host", "endpoint", "endpoint_url", "proxy", "proxies"),
        *("api_base", "base_url", "api_key", "api_version", "api_type", "organization", "deployment", "deployment_id"),
        *("custom_llm_provider", "extra_body", "extra_headers", "extra_query", "headers", "num_retries", "max_retries"),
        *("model_info", "model_group", "model_config", "base_model", "hf_model_name", "user_config", "region_name"),
        *("router_settings_override", "allowed_model_region", "specific_deployment", "tags", "guardrails", "cache"),
        *("caching", "no-log", "drop_params", "additional_drop_params", "allowed_openai_params", "custom_prompt_dict"),
        *("prompt_id", "prompt_variables", "prompt_version", "prompt_label", "success_callback", "failure_callback"),
        *("callbacks", "callback_settings"),
        # vLLM, SGLang and kin: more is written than is returned, and what changes the prompt, its host or the code.
        *("best_of", "use_beam_search", "num_beams", "num_return_sequences", "best_of_n", "candidate_count"),
        *("sample_count", "num_completions", "num_generations", "num_samples", "num_outputs"),
        *("chat_template", "mm_processor_kwargs", "media_io_kwargs", "kv_transfer_params", "custom_logit_processor"),
        *("logits_processors", "prompt_embeds"),
        *("lora", "lora_path", "lora_request", "adapter_id", "bootstrap_host", "bootstrap_port", "bootstrap_room"),
        # Azure: search in data of one's own, billed by itself.
        *("data_sources", "extra_parameters"),
        # Members that servers unfold into the request.
        *("extra", "model_kwargs", "additional_properties", "additional_model_request_fields", "google"),
        # Tiers of price, and work that is done later.
        *("speed", "inference_geo", "performance_config", "completion_window", "background", "deferred"),
        # What is bought apart, or kept at the operator's.
        *("enable_search", "search_options", "search_mode", "search_settings", "web_search", "online", "connectors"),
        *("enable_code_interpreter", "compound_custom", "mcp_servers", "callback_url", "webhook", "webhook_url"),
        *("conversation", "previous_response_id", "vector_store_ids", "container", "cached_content", "file_ids"),
    }
)
FAMILIES = ("litellm", "mock", "aws", "vertex", "azure", "watsonx", "sagemaker", "databricks", "langfuse", "langsmith")
"""How names begin that LiteLLM takes for its own, or for the access to a provider."""
COSTS = "costper"


def folded(name: str) -> str:
    """A name as the laxest server reads it: `apiBase`, `API-Base` and `api_base` are one."""
    return name.casefold().replace("_", "").replace("-", "")


REFUSED = frozenset(map(folded, STEERING | OTHER_LIMITS)) | {"maxtokens", "maxcompletiontokens"}


def is_steering(name: str, known: AbstractSet[str]) -> bool:
    """`known` are the names that the protocol reads itself."""
    if name in known:
        return False
    plain = folded(name)
    return plain in REFUSED or plain.startswith(FAMILIES) or COSTS in plain


def refuse_steering(names: Iterable[str], known: AbstractSet[str]) -> None:
    """Raise `BadRequest` naming a field that would make an upstream do or charge something else."""
    for name in names:
        if is_steering(name, known):
            raise BadRequest(f"`{name[:100]}` is not on offer here.", param=name[:100])
