"""Requests and answers of Responses into the form that no protocol owns, and back."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocols.openai.responses.neutral import asked, asking, told
from proxy.protocols.translate.form import (
    Choice,
    File,
    Form,
    Image,
    Reasoning,
    Refused,
    Structure,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from proxy.protocols.translate.told import (
    Begun,
    CallBegun,
    CallEnded,
    CallPiece,
    Finished,
    Reason,
    RefusalSaid,
    Said,
    ThoughtEnded,
)
from proxy.protocols.translate.told import Thought as Thinking
from tests.proxy.protocols.translate.written import HABITS, data, streamed, whole

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
ids = st.from_regex(r"call_[a-z0-9]{1,8}", fullmatch=True)
pictures = st.builds(
    Image,
    media_type=st.just("image/png"),
    data=st.just("AAAA"),
    detail=st.sampled_from(["", "low", "high"]),
)
addresses = st.builds(Image, url=st.just("https://a.example/b.png"))
files = st.builds(File, media_type=st.just("application/pdf"), data=st.just("AAAA"), name=st.just("a.pdf"))
texts = st.builds(Text, words)
thoughts = st.builds(lambda text, seal: Thought(text, seal, "openai", is_hidden=not text), words | st.just(""), words)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns = [Turn("system", (draw(texts),))] if draw(st.booleans()) else []
    turns.append(Turn("user", tuple(draw(st.lists(texts | pictures | addresses | files, min_size=1, max_size=3)))))
    for at in range(draw(st.integers(0, 3))):
        calls = [
            ToolCall(f"call_{at}_{number}", draw(names), draw(words), takes_text=draw(st.booleans()))
            for number in range(draw(st.integers(0, 2)))
        ]
        said = draw(st.lists(texts | st.builds(Refused, words), max_size=2))
        parts = (*draw(st.lists(thoughts, max_size=2)), *said, *calls)
        if parts:
            turns.append(Turn("assistant", parts))
        if calls:
            given_back = st.one_of(
                st.builds(lambda text: (text,), texts), st.lists(texts | pictures, min_size=2, max_size=3).map(tuple)
            )
            turns.append(Turn("user", tuple(ToolResult(call.id, draw(given_back)) for call in calls)))
        if not calls or draw(st.booleans()):
            turns.append(Turn(draw(st.sampled_from(["user", "developer"])), (draw(texts),)))
    return tuple(turns)


tools = st.lists(
    st.builds(Tool, names, words | st.just(""), st.just(b'{"type":"object","a":1.0}'), st.just(True))
    | st.builds(lambda name, grammar: Tool(name, takes_text=True, grammar=grammar), names, st.sampled_from(
        [b"", b'{"syntax":"lark","definition":"start: /a/"}'])),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)  # fmt: skip


@st.composite
def forms(draw: st.DrawFn) -> Form:
    offered = draw(tools)
    chosen = [Choice("auto"), Choice("none"), Choice("required"), *(Choice("named", tool.name) for tool in offered)]
    return Form(
        turns=draw(conversations()),
        tools=offered,
        choice=draw(st.sampled_from([None, *chosen])) if offered else None,
        parallel=draw(st.sampled_from([None, True, False])) if offered else None,
        reasoning=draw(st.sampled_from([None, Reasoning("low"), Reasoning("none", is_on=False)])),
        structure=draw(st.sampled_from([None, Structure(), Structure(b'{"a":1.0}', "n", "d", strict=False)])),
        temperature=draw(st.sampled_from([None, 0.5])),
        top_p=draw(st.sampled_from([None, 0.9])),
    )


def bare(form: Form) -> dict[str, Any]:
    """What a form says, without where it stood and how it is called."""
    said = ("tools", "choice", "parallel", "reasoning", "structure", "temperature", "top_p")
    return {"turns": [_bare(turn) for turn in form.turns], **{name: _bare(getattr(form, name)) for name in said}}


def _bare(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_bare(one) for one in value]
    slots = getattr(type(value), "__slots__", None)
    if slots is None:
        return value
    return type(value).__name__, {name: _bare(getattr(value, name)) for name in slots if name != "place"}


@given(forms())
def test_a_request_there_and_back_says_the_same(form):
    written = asking.write(form, habits=HABITS)
    assert not written.ignored
    assert bare(asked.read(written.rest, stream=False, tier=None)) == bare(form)


# --- Answers ----------------------------------------------------------------------------------------------------------


@st.composite
def answers(draw: st.DrawFn) -> list[Any]:
    """What an answer tells, each piece once."""
    events: list[Any] = [Begun("up/m", "x")]
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["text", "thought", "hidden", "refusal", "call", "free"]))
        pieces = draw(st.lists(words, min_size=1, max_size=3))
        if kind == "text":
            events += map(Said, pieces)
        elif kind == "refusal":
            events += map(RefusalSaid, pieces)
        elif kind == "thought":
            events += [*map(Thinking, pieces), ThoughtEnded(draw(words), "openai")]
        elif kind == "hidden":
            events.append(ThoughtEnded(draw(words), "openai", is_hidden=True))
        else:
            events.append(CallBegun(number, f"call_{number}", draw(names), kind == "free"))
            events += [CallPiece(number, piece) for piece in pieces]
            if draw(st.booleans()):
                events.append(CallEnded(number))
    return [*events, Finished(draw(st.sampled_from([Reason.DONE, Reason.LENGTH])))]


def timeless(response: dict[str, Any]) -> dict[str, Any]:
    return {**response, "created_at": 0, "completed_at": 0}


@given(answers(), st.sets(st.integers(0, 20)))
def test_a_stream_ends_with_the_answer_in_one_piece(events, cuts):
    said = data(streamed(events, cuts))
    assert timeless(said[-1]["response"]) == timeless(whole(events))
    assert [event["sequence_number"] for event in said] == list(range(len(said)))


@given(answers(), st.sets(st.integers(0, 20)))
def test_how_a_stream_is_cut_changes_nothing_of_it(events, cuts):
    pieces = [[{**one, "response": 0} for one in data(streamed(events, cut))] for cut in (cuts, set())]
    assert pieces[0] == pieces[1]


@given(answers(), st.data())
def test_an_answer_there_and_back_tells_the_same(events, choose):
    stream = streamed(events)
    cut = choose.draw(st.integers(0, stream.count(b"\n\n"))) if stream else 0
    at = len(b"\n\n".join(stream.split(b"\n\n")[:cut])) + 2 if cut else 0
    reader = told.Reader()
    found = [*reader.read(stream[:at]), *reader.read(stream[at:])]
    assert folded(found) == folded(list(told.told(whole(events)))) == folded(events)


def folded(events: list[Any]) -> list[Any]:
    """Pieces that follow one another as one; where calls end and what the model is called left out."""
    found: list[Any] = []
    calls: dict[int, list[Any]] = {}
    for event in events:
        match event:
            case Said() | Thinking() | RefusalSaid():
                if found and type(found[-1]) is type(event):
                    found[-1] = type(event)(found[-1].text + event.text)
                else:
                    found.append(event)
            case CallBegun(id=id, name=name, takes_text=free):
                calls[event.number] = [id, name, free, ""]
                found.append(calls[event.number])
            case CallPiece(number=number, text=text):
                calls[number][3] += text
            case ThoughtEnded() | Finished(reason=Reason.LENGTH):
                found.append(event)
    return found


@given(answers())
def test_each_item_begins_goes_on_and_ends(events):
    """As the clients' own readers demand it: nothing of an item before it has begun, and nothing behind its end."""
    open_items: dict[int, Any] = {}
    done: dict[int, Any] = {}
    for event in data(streamed(events)):
        place, kind = event.get("output_index"), event["type"]
        if kind == "response.output_item.added":
            assert place == len(open_items) + len(done)
            open_items[place] = event["item"]
        elif kind == "response.output_item.done":
            begun = open_items.pop(place)
            assert (begun["id"], begun["type"]) == (event["item"]["id"], event["item"]["type"])
            done[place] = event["item"]
        elif place is not None:
            assert event["item_id"] == open_items[place]["id"]
    assert not open_items
    assert [done[place] for place in sorted(done)] == whole(events)["output"]
