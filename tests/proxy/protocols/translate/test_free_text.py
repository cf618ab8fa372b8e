"""Tools with free text, where the upstream has none."""

import pytest

from proxy.protocols.translate.decoding import not_carried
from proxy.protocols.translate.form import Form, Text, Tool, ToolCall, Turn, Untranslatable
from proxy.protocols.translate.free import AsText, as_functions, free_in
from proxy.protocols.translate.told import CallBegun, CallEnded, CallPiece, Finished, Reason, Said

TURNS = (Turn("user", (Text("Hi"),)), Turn("assistant", (ToolCall("c", "exec", 'say "hi"', takes_text=True),)))
EXEC = Tool("exec", takes_text=True, place="tools[0]")


def test_it_is_a_function_with_one_text_there():
    form = as_functions(Form(turns=TURNS, tools=(EXEC, Tool("f"))))
    assert [tool.takes_text for tool in form.tools] == [False, False]
    assert b'"input"' in form.tools[0].schema
    assert form.turns[1].parts == (ToolCall("c", "exec", '{"input":"say \\"hi\\""}'),)
    plain = Form(turns=TURNS[:1], tools=(Tool("f"),))
    assert as_functions(plain) is plain


def test_a_grammar_is_refused():
    with pytest.raises(Untranslatable) as refused:
        as_functions(Form(turns=TURNS, tools=(Tool("exec", takes_text=True, grammar=b"{}", place="tools[0]"),)))
    assert refused.value.param == not_carried("tools[0]").param


def test_its_argument_goes_on_as_text_once_it_is_whole():
    turner = AsText(free_in(Form(turns=(), tools=(EXEC,))))
    first = [CallBegun(0, "a", "exec"), CallBegun(1, "b", "f"), CallPiece(0, '{"in'), CallPiece(1, "{}")]
    assert list(turner.told(first)) == [CallBegun(0, "a", "exec", True), first[1], first[3]]
    then = [CallPiece(0, 'put":"ls\\n"}'), CallEnded(0), Said("Ho")]
    assert list(turner.told(then)) == [CallPiece(0, "ls\n"), CallEnded(0), Said("Ho")]


def test_one_that_was_cut_off_goes_on_as_it_was_written():
    turner = AsText(frozenset({"exec"}))
    events = [CallBegun(0, "a", "exec"), CallPiece(0, '{"input":"l'), Finished(Reason.LENGTH)]
    assert list(turner.told(events))[1:] == [CallPiece(0, '{"input":"l'), events[2]]
    assert list(turner.told([CallBegun(1, "b", "exec"), CallPiece(1, "ls")]))[1:] == []
    assert list(turner.rest()) == [CallPiece(1, "ls")]
