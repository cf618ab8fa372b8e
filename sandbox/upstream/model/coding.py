"""A coding session: the model that is asked for a file calls a tool of the caller's that makes it, then says so.

    Create the file notes/hello.txt with the text "Hello, ledger."

Whoever offers no tool gets the file as a text, where that is what the instructions ask for.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

TASK = re.compile(
    r"[Cc]reate the file [`'\"]?(?P<path>[^\s`'\"]+)[`'\"]? with the text \\?[\"“](?P<text>[^\"”\n\\]*)\\?[\"”]"
)
PATHS = ("file_path", "filePath", "absolute_path", "path", "file")
CONTENTS = ("content", "contents", "file_text", "text")
COMMANDS = ("command", "cmd")
LISTING = "file listing"
"""What an agent without tools calls the form in which it wants files."""


@dataclass(frozen=True)
class Task:
    path: str
    text: str

    @property
    def command(self) -> str:
        """For a POSIX shell."""
        folder, path = shlex.quote(str(PurePosixPath(self.path).parent)), shlex.quote(self.path)
        return f"mkdir -p {folder} && printf '%s\\n' {shlex.quote(self.text)} > {path}"

    @property
    def patch(self) -> str:
        return f"*** Begin Patch\n*** Add File: {self.path}\n+{self.text}\n*** End Patch\n"

    @property
    def listing(self) -> str:
        return f"{self.path}\n```\n{self.text}\n```\n"

    @property
    def report(self) -> str:
        return f"I created {self.path}."


@dataclass(frozen=True)
class Tool:
    """A function with the schema of its arguments, or, without one, a tool that takes free text."""

    name: str
    schema: dict[str, Any] | None


@dataclass(frozen=True)
class Call:
    """`arguments` of a function, or the text for a tool that takes one."""

    name: str
    arguments: dict[str, Any] | str


def step(said: Iterable[str | None], tools: Iterable[Tool], *, instructions: str = "") -> Call | str | None:
    """What the model does next: calls a tool, or says something; None where no file was asked for.

    `said` are the user's texts in order, None among them where a tool's result stands.
    """
    task, is_done = None, False
    for one in said:
        if one is None:
            is_done = True
        elif found := [*TASK.finditer(one)]:
            task, is_done = Task(found[-1]["path"], found[-1]["text"]), False
    if task is None:
        return None
    if is_done:
        return task.report
    return call_for(task, tools) or (task.listing if LISTING in instructions else None)


def call_for(task: Task, tools: Iterable[Tool]) -> Call | None:
    """The first tool that can make the file: one that writes files, then a shell, then one that takes text."""
    offered = list(tools)
    for make in (_writing, _commanding, _free):
        for tool in offered:
            if (call := make(task, tool)) is not None:
                return call
    return None


def _writing(task: Task, tool: Tool) -> Call | None:
    fields = _fields(tool)
    path, content = _first(PATHS, fields), _first(CONTENTS, fields)
    if path is None or content is None or not task.path.startswith("/"):
        return None
    return _filled(tool, {path: task.path, content: task.text + "\n"})


def _commanding(task: Task, tool: Tool) -> Call | None:
    fields = _fields(tool)
    if (field := _first(COMMANDS, fields)) is None:
        return None
    words = ["sh", "-c", task.command] if fields[field].get("type") == "array" else task.command
    return _filled(tool, {field: words})


def _free(task: Task, tool: Tool) -> Call | None:
    if tool.schema is not None:
        return None
    if tool.name == "apply_patch":
        return Call(tool.name, task.patch)
    return Call(tool.name, f"await tools.exec_command({{cmd: {task.command!r}}});")


def _filled(tool: Tool, arguments: dict[str, Any]) -> Call | None:
    """With a word for each further text that is required; None if something else is."""
    for name in (tool.schema or {}).get("required") or ():
        if name not in arguments:
            if _fields(tool).get(name, {}).get("type") != "string":
                return None
            arguments[name] = "Create the file"
    return Call(tool.name, arguments)


def _fields(tool: Tool) -> dict[str, dict[str, Any]]:
    properties = (tool.schema or {}).get("properties")
    return properties if isinstance(properties, dict) else {}


def _first(names: tuple[str, ...], fields: dict[str, Any]) -> str | None:
    return next((name for name in names if name in fields), None)


def texts_of(content: Any) -> Iterator[str]:
    """Of a message's content: a text, or parts with texts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
