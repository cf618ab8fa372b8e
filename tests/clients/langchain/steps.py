"""LangChain over each of its providers: answers, streams, tools and their results, what was described, errors."""

import os

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

URL, KEY = os.environ["CHUIZI_URL"], os.environ["CHUIZI_KEY"]
MADE = {
    "openai/gpt-4.1-nano": lambda name, key: ChatOpenAI(base_url=f"{URL}/v1", api_key=key, model=name, max_retries=0),
    "anthropic/claude-sonnet-4-6": lambda name, key: ChatAnthropic(
        base_url=URL, api_key=key, model=name, max_tokens=2000, max_retries=0
    ),
    "google/gemini-2.5-flash": lambda name, key: ChatGoogleGenerativeAI(
        base_url=URL, api_key=key, model=name, max_retries=0
    ),
}
TASK = HumanMessage('Create the file /tmp/a with the text "Hello."')


class Answer(BaseModel):
    """An answer."""

    answer: str


@tool
def write_file(path: str, content: str) -> str:
    """Write a file."""
    return "done"


def steps(name, make):
    model = make(name, KEY)
    whole = model.invoke("What is a ledger?")
    assert "sandbox model" in whole.text, whole
    assert whole.usage_metadata["output_tokens"] > 0
    pieces = list(model.stream("What is a ledger?"))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len(pieces) > 2
    equipped = model.bind_tools([write_file])
    called = equipped.invoke([TASK])
    [call] = called.tool_calls
    assert (call["name"], call["args"]) == ("write_file", {"path": "/tmp/a", "content": "Hello.\n"})
    done = equipped.invoke([TASK, called, ToolMessage("done", tool_call_id=call["id"])])
    assert done.text == "I created /tmp/a."
    assert model.with_structured_output(Answer).invoke("What is a ledger?").answer == "yes"
    refused = ""
    try:
        make(name, "ck-" + "A" * 32).invoke("What is a ledger?")
    except Exception as error:
        refused = str(error)
    assert "key" in refused, refused


for known in MADE.items():
    steps(*known)
