"""The input of a response as messages of chat, checked as strictly as the real API does."""

from typing import Any

from sandbox.upstream.chat import Refused

Item = dict[str, Any]
ROLES = frozenset({"user", "assistant", "system", "developer"})
CALLS = frozenset({"function_call", "custom_tool_call"})
RESULTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
PICTURES = frozenset({"input_image"})
WITHOUT_NAME = frozenset({"web_search", "web_search_preview", "local_shell", "shell", "apply_patch", "computer",
                          "computer_use_preview", "code_interpreter", "file_search", "image_generation", "mcp",
                          "tool_search"})  # fmt: skip


def messages_of(body: Item) -> list[Item]:
    """Raise `Refused`."""
    given = body.get("input")
    tools_of(body)
    messages: list[Item] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise Refused("Missing required parameter: 'input'.", param="input")
    called = set[str]()
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            raise Refused(f"Invalid type for 'input[{index}]': expected an object.", param=f"input[{index}]")
        messages.append(_message(item, called, f"input[{index}]"))
    return messages


def tools_of(body: Item) -> list[Item]:
    """Of `tools`, of namespaces and of the input; raises `Refused` for one without what it needs."""
    found = _tools(body.get("tools"), "tools")
    given = body.get("input")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            found += _tools(item.get("tools"), f"input[{index}].tools")
    return found


def _tools(tools: Any, place: str) -> list[Item]:
    found: list[Item] = []
    for index, tool in enumerate(tools or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(kind, str):
            raise Refused(f"Missing required parameter: '{place}[{index}].type'.", param=f"{place}[{index}].type")
        if kind not in WITHOUT_NAME and not tool.get("name"):
            raise Refused(f"Missing required parameter: '{place}[{index}].name'.", param=f"{place}[{index}].name")
        if kind == "namespace":
            inner = _tools(tool.get("tools"), f"{place}[{index}].tools")
            found += [{**one, "namespace": tool["name"]} for one in inner]
        else:
            found.append(tool)
    return found


def _message(item: Item, called: set[str], place: str) -> Item:
    kind = item.get("type", "message")
    if kind == "message":
        if item.get("role") not in ROLES:
            raise Refused(f"Invalid value for '{place}.role'.", param=f"{place}.role")
        return {"role": item["role"], "content": _content(item.get("content"))}
    if kind in CALLS:
        called.add(f"{kind} {item.get('call_id')}")
    elif kind in RESULTS and f"{RESULTS[kind]} {item.get('call_id')}" not in called:
        words = f"No tool call found for function call output with call_id {item.get('call_id')}."
        raise Refused(words, param="input")
    elif kind == "item_reference":
        raise Refused(f"Item with id '{item.get('id')}' not found.", param="input")
    told = next((item[name] for name in ("output", "arguments", "input", "content") if name in item), "")
    return {"role": "tool" if kind in RESULTS else "assistant", "content": _content(told)}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts = [part for part in content if isinstance(part, dict)]
    return [
        {"type": "image"} if part.get("type") in PICTURES else {"type": "text", "text": part.get("text", "")}
        for part in parts
    ]
