"""What callers of Responses send and get, where their upstream speaks another protocol, and the other way round."""

import orjson
import pytest

from proxy.errors import Refusal
from proxy.gateway.routes import CHAT, RESPONSES
from proxy.protocols.base import BadRequest
from proxy.protocols.openai.responses.asked.ours import without_ours
from proxy.protocols.openai.responses.neutral import telling
from proxy.protocols.openai.responses.neutral.names import Named, Names
from proxy.protocols.translate import seals
from proxy.protocols.translate.form import (
    Choice,
    Thought,
    ToolCall,
)
from proxy.protocols.translate.told import (
    CallBegun,
    CallPiece,
    Finished,
    Reason,
    RefusalSaid,
    Said,
    ThoughtEnded,
)
from proxy.protocols.translate.told import Thought as Thinking
from tests import spoken as spoken_as
from tests.proxy.protocols.translate.ways import (
    CHAT_TO_RESPONSES,
    RESPONSES_TO_CHAT,
    RESPONSES_TO_MESSAGES,
    TO_CHAT,
    destination,
)
from tests.proxy.protocols.translate.written import CHARGED, HABITS, USED, frame, read, whole

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
EXEC = {
    "type": "custom",
    "name": "exec",
    "description": "Run it",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
}
GROUP = {"type": "namespace", "name": "functions", "description": "All of them", "tools": [EXEC, FUNCTION]}


def test_tools_of_a_namespace_have_names_of_their_own_and_come_back():
    form = read(
        {
            "tools": [FUNCTION],
            "input": [
                {"type": "additional_tools", "role": "developer", "tools": [GROUP]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "custom_tool_call", "call_id": "c1", "namespace": "functions", "name": "exec", "input": "ls"},
                {"type": "custom_tool_call_output", "call_id": "c1", "output": "a"},
            ],
        }
    )
    assert [tool.name for tool in form.tools] == ["f", "functions__exec", "functions__f"]
    assert form.tools[1].description == "All of them\n\nRun it"
    assert form.turns[1].parts == (
        ToolCall("c1", "functions__exec", "ls", takes_text=True, place="input[2]"),
    )  # fmt: skip
    assert form.names.back("functions__exec") == Named("exec", "functions")
    events = [CallBegun(0, "c2", "functions__exec", True), CallPiece(0, "pwd")]
    [item] = whole(events, form.names)["output"]
    assert (item["type"], item["namespace"], item["name"], item["input"]) == (
        *("custom_tool_call", "functions", "exec", "pwd"),
    )  # fmt: skip


def test_a_name_that_fits_nowhere_is_the_same_each_turn():
    long = "n" * 80
    first, again = (Names().offer(Named(long, "a.b")) for _ in range(2))
    assert first == again
    assert len(first) <= 64
    offered = Names()
    assert offered.offer(Named("a__b")) == "a__b"
    assert (other := offered.offer(Named("b", "a"))) != "a__b"
    assert offered.back(other) == Named("b", "a")
    assert offered.of_call("a", "b") == other


def test_a_thought_with_a_seal_of_its_maker_comes_back_with_it():
    events = [Thinking("Hm"), ThoughtEnded("s.1", "anthropic"), ThoughtEnded("h", "anthropic", is_hidden=True)]
    items = whole([*events, Thinking("Ho"), ThoughtEnded()])["output"]
    [turn] = read({"input": [*items, {"role": "user", "content": "Go"}]}).turns[:1]
    assert turn.parts == (
        Thought("Hm", "s.1", "anthropic"),
        Thought("", "h", "anthropic", is_hidden=True),
        Thought("Ho"),
    )
    assert all(seals.is_ours(item["encrypted_content"]) for item in items)
    items[2]["summary"][0]["text"] = "Another"
    assert read({"input": [*items, {"role": "user", "content": "Go"}]}).turns[0].parts == turn.parts[:2]


def test_only_the_tools_that_are_allowed_are_offered():
    other = {**FUNCTION, "name": "g"}
    named = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    form = read({"tools": [FUNCTION, other], "tool_choice": named})
    assert [tool.name for tool in form.tools] == ["g"]
    assert form.choice == Choice("required")


MESSAGE = {"type": "message", "role": "user"}
REFUSED = {
    "previous_response_id": {"previous_response_id": "resp_1"},
    "background": {"background": True},
    "conversation": {"conversation": "conv_1"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "top_logprobs": {"top_logprobs": 2},
    "moderation": {"moderation": {"model": "m"}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "input[0].type": {"input": [{"type": "item_reference", "id": "msg_1"}]},
    "input[1].type": {"input": [MESSAGE | {"content": "Hi"}, {"type": "local_shell_call", "call_id": "c"}]},
    "input[0].content[0].file_id": {
        "input": [MESSAGE | {"content": [{"type": "input_file", "file_id": "file_1"}]}],
    },
    "input[0].content[0].type": {"input": [MESSAGE | {"content": [{"type": "input_audio", "input_audio": {}}]}]},
    "tools[0].type": {"tools": [{"type": "mcp", "server_label": "a"}]},
    "tool_choice": {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
    "text.logit": {"text": {"logit": 1}},
    "made_up": {"made_up": 1},
}


@pytest.mark.parametrize(("param", "body"), REFUSED.items(), ids=str)
def test_what_cannot_be_carried_is_refused_by_its_name(param, body):
    with pytest.raises(BadRequest) as refused:
        read(body)
    assert refused.value.param == param


HINTS = {
    "store": {"store": True},
    "include": {"include": ["reasoning.encrypted_content", "file_search_call.results"]},
    "text.verbosity": {"text": {"verbosity": "low"}},
    "truncation": {"truncation": "auto"},
    "reasoning.context": {"reasoning": {"context": "all_turns"}},
    "metadata": {"metadata": {"a": "b"}},
    "client_metadata": {"client_metadata": {"a": "b"}},
}


@pytest.mark.parametrize(("hint", "body"), HINTS.items(), ids=str)
def test_hints_are_named(hint, body):
    assert read(body).hints == (hint,)
    assert read({"store": False, "include": ["reasoning.encrypted_content"], "truncation": "disabled"}).hints == ()


def test_an_answer_repeats_what_its_request_says():
    rest = orjson.dumps({"tools": [FUNCTION], "metadata": {"a": "b"}, "temperature": 0.5, "tool_choice": None})[1:-1]
    response = orjson.loads(telling.whole(frame(rest), Names(), [Said("Hi")], CHARGED, USED, None))
    said = {"tools": [FUNCTION], "metadata": {"a": "b"}, "temperature": 0.5, "tool_choice": "auto", "store": False}
    assert {name: response[name] for name in said} == said
    assert response["max_output_tokens"] == 100


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        (Reason.DONE, "completed", None),
        (Reason.STOP, "completed", None),
        (Reason.TOOLS, "completed", None),
        (Reason.LENGTH, "incomplete", "max_output_tokens"),
        (Reason.PAUSED, "incomplete", "max_output_tokens"),
        (Reason.REFUSED, "incomplete", "content_filter"),
    ],
)
def test_each_reason_has_its_status(reason, status, why):
    response = whole([Said("Hi"), Finished(reason)])
    assert (response["status"], response["output"][0]["status"]) == (status, status)
    assert response["incomplete_details"] == (why and {"reason": why})
    assert whole([RefusalSaid("No"), Finished(Reason.REFUSED)])["status"] == "completed"


def test_free_text_by_a_grammar_goes_to_chat_where_it_is_known_and_its_calls_come_back():
    """As Codex asks of its own models: no `tools`, but an item that brings them."""
    items = [{"type": "additional_tools", "role": "developer", "tools": [GROUP]}, {"role": "user", "content": "Go"}]
    call = RESPONSES_TO_CHAT.read({"input": items, "reasoning": {"context": "all_turns"}})
    sent, ignored = RESPONSES_TO_CHAT.sent_of(call, kind="openai")
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/s"}}
    about = {"name": "functions__exec", "description": "All of them\n\nRun it", "format": grammar}
    assert sent["tools"][0] == {"type": "custom", "custom": about}
    assert ignored == ("reasoning.context",)
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "functions__exec", "input": "ls"}}
    message = {"role": "assistant", "content": None, "tool_calls": [custom]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    [item] = RESPONSES_TO_CHAT.whole(answer, call)["output"]
    assert {name: item[name] for name in ("type", "call_id", "namespace", "name", "input")} == {
        "type": "custom_tool_call",
        "call_id": "call_1",
        "namespace": "functions",
        "name": "exec",
        "input": "ls",
    }
    with pytest.raises(BadRequest) as refused:
        RESPONSES_TO_MESSAGES.sent_of(call)
    assert refused.value.param == "input[0].tools[0].tools[0]"


def test_thoughts_in_a_seal_of_ours_are_taken_out_before_the_provider_sees_them():
    ours = whole([Thinking("Hm"), ThoughtEnded("s", "anthropic"), Thinking("Ho"), ThoughtEnded()])["output"]
    theirs = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    rest = orjson.dumps({"store": False, "input": [*ours, theirs, {"role": "user", "content": "chuizi1."}]})[1:-1]
    assert orjson.loads(b"{%b}" % without_ours(rest)) == {
        "store": False,
        "input": [theirs, {"role": "user", "content": "chuizi1."}],
    }
    assert without_ours(b'"input":"chuizi1."') == b'"input":"chuizi1."'


WORDS = {
    "include": ("", "Encrypted content is not supported with this model."),
    "reasoning.effort": ("reasoning.effort", "Unsupported parameter: 'reasoning.effort' is not supported."),
    "reasoning.summary": ("reasoning.summary", "Your organization must be verified to generate reasoning summaries."),
    "parallel_tool_calls": ("", "Unknown parameter: 'parallel_tool_calls'."),
}


@pytest.mark.parametrize(("name", "said"), WORDS.items(), ids=str)
def test_what_an_upstream_refuses_of_ours_is_left_out(name, said):
    param, message = said
    way, body = CHAT_TO_RESPONSES, {"reasoning_effort": "low", "parallel_tool_calls": False}
    call = way.read({**body, "tools": [{"type": "function", "function": {"name": "f"}}]})
    there = destination("openai", paths=["responses"])
    refusal = Refusal(400, "validation_error", message, param=param or None)
    found = way.dialect.after_refusal(call, there, HABITS, refusal)
    assert found.refused == {name}
    before, after = (way.sent_of(call, refused=refused)[0] for refused in ((), found.refused))
    outer, _, inner = name.partition(".")
    assert (before[outer] if not inner else before[outer][inner]) not in (None, "")
    assert outer not in after if not inner else inner not in after[outer]
    assert way.dialect.after_refusal(call, there, found, refusal) is None


@pytest.mark.parametrize("way", [RESPONSES_TO_CHAT, CHAT_TO_RESPONSES, TO_CHAT], ids=lambda way: way.name)
def test_a_stream_that_is_stopped_ends_as_one_at_its_limit(way):
    spoken = {CHAT.path: spoken_as.CHAT, RESPONSES.path: spoken_as.RESPONSES}[way.upstream.path]
    stream = way.dialect.events(way.read({"stream": True}), CHARGED.manner)
    said = b"".join(map(stream.take, spoken.begun))
    said += stream.stop() + stream.tail(CHARGED, USED) + way.caller.end
    answer = way.assembled(said)
    assert "one two three four" in str(answer)
    ends = {"/v1/responses": "max_output_tokens", "/v1/chat/completions": "length", "/v1/messages": "max_tokens"}
    assert f"'{ends[way.caller.path]}'" in str(answer)
    assert "20" in str(answer["usage"])


def test_two_messages_that_follow_one_another_stand_apart():
    said = [{"type": "message", "content": [{"type": "output_text", "text": text}]} for text in ("A", "B")]
    answer = {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": said}
    assert CHAT_TO_RESPONSES.whole(answer)["choices"][0]["message"]["content"] == "A\n\nB"
