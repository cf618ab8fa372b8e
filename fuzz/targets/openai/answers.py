"""Any bytes of an answer are read without a fault, keep what they say, and are the same answer as a stream."""

from decimal import Decimal

from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import Charged, Manner
from proxy.protocols.openai import chat

SEEDS = [
    b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"one"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    b'{"choices":[{"message":{"content":[{"type":"text","text":"one"}],"tool_calls":[{"id":"c","type":"function",'
    b'"function":{"name":"f","arguments":"{}"}}],"reasoning":"r"},"logprobs":{"content":[{"logprob":-Infinity}]}}],"n":1e999}',
    b'\xef\xbb\xbf{"error":{"message":"m"},"choices":[{"index":1,"error":{"code":500},"message":{"content":"\\ud83d"}}]}',
    b'{"base_resp":{"status_code":1004,"status_msg":"m"},"choices":null,"big":340282366920938463463374607431768211455}',
    b'data: {"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
CHARGED = Charged(Manner("gen-ours"), 12, Decimal("0.00042000"))


def check(data: bytes) -> None:
    assembly = chat.Assembly()
    assembly.take(data + b"\n\n")
    lossless.load(lossless.dump(assembly.whole()))
    try:
        answer = lossless.load(data)
    except ValueError:
        return
    if not isinstance(answer, dict):
        return
    assert chat.produced_bytes(answer) >= 0
    body = lossless.load(chat.decorate(data, answer, chat.read_answer(answer), CHARGED, Usage(input_tokens=1), None))
    assert (body["id"], body["x_chuizi"]["cost"]) == ("gen-ours", "0.00042000")
    stream = chat.ChatStream(Manner("gen-ours"))
    stream.take(chat.as_events(data))
    if chat.failure_in(answer) is None and chat.is_answer(answer):
        assert (stream.error, stream.usage) == (None, chat.read_answer(answer).usage)
