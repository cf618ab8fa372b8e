"""Coding agents, as their current versions want it."""

from django.utils.translation import gettext_lazy as _

from console.start.guide import Block, Guide

CLAUDE_CODE = Guide(
    "claude-code",
    "Claude Code",
    "Messages",
    (
        Block(
            "sh",
            """\
export ANTHROPIC_BASE_URL={{url}}
export ANTHROPIC_AUTH_TOKEN={{key}}
export CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY=1
claude --model {{claude}}
""",
        ),
    ),
    (
        _("/model lists the models here whose names contain claude."),
        _("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 keeps it from calling anybody but this site."),
        _("What is held first is several times the cost; where the balance is too small for it, name a cheaper model."),
    ),
)
CODEX = Guide(
    "codex",
    "Codex",
    "Responses",
    (
        Block(
            "toml",
            """\
model = "{{gpt}}"
model_provider = "chuizi"

[model_providers.chuizi]
name = "Chuizi"
base_url = "{{url}}/v1"
env_key = "CHUIZI_KEY"
wire_api = "responses"
""",
            "~/.codex/config.toml",
        ),
        Block(
            "sh",
            """\
export CHUIZI_KEY={{key}}
codex
""",
        ),
    ),
    (
        _("It warns that it has no metadata of a model that it does not know, and works."),
        _(
            'With auth = {command = "printenv", args = ["CHUIZI_KEY"]} in place of env_key it reads the models here,'
            " also for /model."
        ),
        _("When too many requests come in a minute it says so without our words, and waits."),
    ),
)
GEMINI_CLI = Guide(
    "gemini-cli",
    "Gemini CLI",
    "Gemini",
    (
        Block(
            "json",
            """\
{
  "security": {"auth": {"selectedType": "gemini-api-key"}},
  "privacy": {"usageStatisticsEnabled": false}
}
""",
            "~/.gemini/settings.json",
        ),
        Block(
            "sh",
            """\
export GOOGLE_GEMINI_BASE_URL={{url}}
export GEMINI_API_KEY={{key}}
gemini --model {{gemini}}
""",
        ),
    ),
    (_("Without --model it chooses by itself among models that may not be on offer here."),),
)
OPENCODE = Guide(
    "opencode",
    "OpenCode",
    "Chat Completions, Responses, Messages, Gemini",
    (
        Block(
            "json",
            """\
{
  "$schema": "https://opencode.ai/config.json",
  "model": "chuizi/{{gpt}}",
  "small_model": "chuizi/{{small}}",
  "provider": {
    "chuizi": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "Chuizi",
      "options": {"baseURL": "{{url}}/v1", "apiKey": "{env:CHUIZI_KEY}"},
      "models": {
        "{{gpt}}": {"limit": {"context": 128000, "output": 8192}},
        "{{small}}": {"limit": {"context": 128000, "output": 8192}}
      }
    },
    "chuizi-responses": {
      "npm": "@ai-sdk/openai",
      "name": "Chuizi, Responses",
      "options": {"baseURL": "{{url}}/v1", "apiKey": "{env:CHUIZI_KEY}"},
      "models": {"{{gpt}}": {"limit": {"context": 128000, "output": 8192}}}
    },
    "chuizi-messages": {
      "npm": "@ai-sdk/anthropic",
      "name": "Chuizi, Messages",
      "options": {"baseURL": "{{url}}/v1", "apiKey": "{env:CHUIZI_KEY}"},
      "models": {"{{claude}}": {"limit": {"context": 200000, "output": 8192}}}
    },
    "chuizi-gemini": {
      "npm": "@ai-sdk/google",
      "name": "Chuizi, Gemini",
      "options": {"baseURL": "{{url}}/v1beta", "apiKey": "{env:CHUIZI_KEY}"},
      "models": {"{{gemini}}": {"limit": {"context": 200000, "output": 8192}}}
    }
  }
}
""",
            "~/.config/opencode/opencode.json",
        ),
        Block(
            "sh",
            """\
export CHUIZI_KEY={{key}}
opencode
""",
        ),
    ),
    (
        _("Add each model that you want to choose under models of the provider that speaks its protocol."),
        _("small_model writes the titles, at the same time as the first answer."),
    ),
)
AIDER = Guide(
    "aider",
    "aider",
    "Chat Completions",
    (
        Block(
            "sh",
            """\
export OPENAI_API_BASE={{url}}/v1
export OPENAI_API_KEY={{key}}
aider --model openai/{{gpt}} --weak-model openai/{{gpt}}
""",
        ),
    ),
    (_("Its own prefix openai/ says which protocol it speaks and stands before the whole name of the model."),),
)
AGENTS = (CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, AIDER)
