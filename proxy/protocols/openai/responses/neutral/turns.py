"""The items of an input as turns: what a model made is one, and so are the results of tools that follow."""

from collections.abc import Iterator, Sequence

from proxy.models import Protocol
from proxy.protocols.openai.responses.neutral import shapes
from proxy.protocols.openai.responses.neutral.names import Names
from proxy.protocols.translate import seals
from proxy.protocols.translate.decoding import data_in, not_carried
from proxy.protocols.translate.form import File, Image, Part, Refused, Role, Text, Thought, ToolCall, ToolResult, Turn

MAKER = Protocol.OPENAI.value
Media = Text | Image | File


class TurnReader:
    def __init__(self, names: Names) -> None:
        self._names = names

    def turns(self, items: Sequence[shapes.AnyItem], field: str) -> Iterator[Turn]:
        """`field` holds the items."""
        kind, parts, begun = "", list[Part](), ""
        for index, item in enumerate(items):
            place = f"{field}[{index}]"
            if isinstance(item, shapes.AdditionalTools):
                continue
            found = self._parts(item, place)
            mine = _kind(item)
            if parts and (mine != kind or mine not in ("assistant", "results") or _goes_apart(item, parts)):
                yield Turn(_role(kind), tuple(parts), begun)
                parts = []
            if not parts:
                kind, begun = mine, place
            parts += found
        if parts:
            yield Turn(_role(kind), tuple(parts), begun)

    def _parts(self, item: shapes.AnyItem, place: str) -> list[Part]:
        match item:
            case shapes.Reasoned():
                return _thoughts(item)
            case shapes.FunctionCall(namespace=namespace, name=name):
                name = self._names.of_call(namespace or "", name)
                return [ToolCall(item.call_id, name, item.arguments, place=place)]
            case shapes.CustomCall(namespace=namespace, name=name):
                name = self._names.of_call(namespace or "", name)
                return [ToolCall(item.call_id, name, item.input, takes_text=True, place=place)]
            case shapes.FunctionOutput(output=output) | shapes.CustomOutput(output=output):
                if isinstance(output, str):
                    return [ToolResult(item.call_id, (Text(output),), place=place)]
                shown = [_media(part, f"{place}.output[{number}]") for number, part in enumerate(output)]
                return [ToolResult(item.call_id, tuple(shown), place=place)]
            case shapes.Easy(content=content):
                if isinstance(content, str):
                    return [Text(content)]
                at = f"{place}.content"
                return [_said(item.role, part, f"{at}[{number}]") for number, part in enumerate(content)]
        raise not_carried(place)


def _kind(item: shapes.AnyItem) -> str:
    """The role, but for results."""
    if isinstance(item, shapes.Easy):
        return item.role
    return "results" if isinstance(item, shapes.FunctionOutput | shapes.CustomOutput) else "assistant"


def _role(kind: str) -> Role:
    roles: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "developer"}
    return roles.get(kind, "user")


def _goes_apart(item: shapes.AnyItem, parts: Sequence[Part]) -> bool:
    """A message after another: to run them together would make one text of two."""
    return isinstance(item, shapes.Easy) and any(isinstance(part, Text | Refused) for part in parts)


def _thoughts(item: shapes.Reasoned) -> list[Part]:
    """A thought that we sealed is anybody's, one in our wrapping its maker's, any other that of these upstreams."""
    summary, content = item.summary or (), item.content or ()
    text = "\n\n".join(part.text for part in (summary or content))
    seal = item.encrypted_content or ""
    if not seal or seals.holds(seal, text):
        return [Thought(text)] if text else []
    if (inner := seals.unwrapped(seal)) is not None:
        seal, maker, is_hidden = inner
        return [Thought("" if is_hidden else text, seal, maker, is_hidden)]
    if seals.is_ours(seal):
        return []
    return [Thought(text, seal, MAKER, is_hidden=not text, id=item.id or "")]


def _said(role: str, part: shapes.Content, place: str) -> Part:
    match part:
        case shapes.OutputText(text=text):
            return Text(text)
        case shapes.RefusalPart(refusal=refusal):
            if role != "assistant":
                raise not_carried(f"{place}.type", "It has no place in this turn.")
            return Refused(refusal)
        case shapes.InputImage() | shapes.InputFile() if role != "user":
            raise not_carried(f"{place}.type", "It has no place in this turn.")
    return _media(part, place)


def _media(part: shapes.Shown, place: str) -> Media:
    match part:
        case shapes.InputText(text=text):
            return Text(text)
        case shapes.InputImage(image_url=url):
            media_type, data = data_in(url, f"{place}.image_url")
            detail = "" if part.detail in (None, "auto") else part.detail or ""
            return Image(media_type, data, "" if data else url, detail, place=f"{place}.image_url")
    if bool(part.file_data) == bool(part.file_url):
        raise not_carried(place, "It needs either `file_data` or `file_url`.")
    if part.file_url:
        return File(url=part.file_url, name=part.filename or "", place=f"{place}.file_url")
    at = f"{place}.file_data"
    media_type, data = data_in(part.file_data or "", at)
    if not data:
        raise not_carried(at, "Data has to be in base64, behind its type.")
    return File(media_type, data, name=part.filename or "", place=at)
