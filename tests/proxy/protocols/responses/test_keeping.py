"""What of an answer says under which ids it is kept, and how it stands."""

import orjson
import pytest

from proxy.errors import Refusal
from proxy.protocols.base import Manner
from proxy.protocols.openai.responses import keeping
from proxy.protocols.openai.responses.kept import InputItems, KeptResponse
from proxy.protocols.openai.responses.stream import ResponseStream
from tests.proxy.protocols.responses.asking import RESPONSES, THERE, Asked, Habits, body, read
from tests.spoken_responses import responded, response, response_ending, response_words

KEEPER = keeping.ResponseKeeper()


@pytest.mark.parametrize("name", ["resp_1", "resp_" + "A" * 993 + "=="])
@pytest.mark.parametrize("names", [("id", "status"), ("status", "id")])
def test_no_event_of_an_answer_in_the_background_goes_on_before_its_id_is_known(name, names):
    stream = ResponseStream(Manner("gen-ours"), is_early=True)
    said = {"id": name, "status": "queued"}
    event = responded("created", response={one: said[one] for one in names})
    assert stream.take(event) == event
    assert stream.reported.upstream_id == name
    kept = ResponseStream(Manner("gen-ours"))
    kept.take(responded("created", response=said))
    assert kept.reported.upstream_id == name


@pytest.mark.parametrize(
    ("asked", "said", "kept"),
    [
        ({}, {}, ("resp_theirs", "msg_theirs")),
        ({"store": False}, {}, ()),
        ({}, {"store": False}, ()),
        ({}, {"output": [{"type": "x"}, {"id": "a"}, {"id": ""}]}, ("resp_theirs", "a")),
    ],
)
def test_an_answer_and_its_stream_name_the_same_ids(asked, said, kept):
    call = read(body(**asked))
    dialect = RESPONSES.dialects["openai"]
    whole = response(**said)
    assert dialect.read_answer(call, whole).kept == kept
    stream = dialect.events(call, Manner("gen-ours"))
    stream.take(b"".join(response_words("one")) + responded("completed", response=whole))
    assert stream.reported.kept == kept


@pytest.mark.parametrize("output", [b"{}", b"[1]", b'[{"id":5}]', b"[", b"", b"null"])
def test_items_that_are_none_name_nothing(output):
    assert keeping.ids_in(output) == ()


@pytest.mark.parametrize(
    ("status", "is_over", "was_stopped"),
    [
        *(("queued", False, False), ("in_progress", False, False), ("completed", True, False)),
        *(("incomplete", True, False), ("failed", True, False), ("cancelled", True, True), ("newer", True, False)),
    ],
)
def test_how_an_answer_stands(status, is_over, was_stopped):
    standing = KEEPER.standing(response(status=status))
    assert (standing.is_over, standing.was_stopped) == (is_over, was_stopped)


def test_the_event_that_ends_a_stream_has_the_answer():
    *words, last = [*response_words("one"), *response_ending()]
    assert [KEEPER.ended(event) for event in words] == [None] * len(words)
    assert KEEPER.ended(last)["id"] == "resp_theirs"
    assert KEEPER.ended(b"data: {not json\n\n") is None


@pytest.mark.parametrize(
    ("endpoint", "query", "sent"),
    [
        (KeptResponse(), b"", "/responses/a%2F..%3Fb"),
        (KeptResponse(), b"stream=true&starting_after=7&model=x", "/responses/a%2F..%3Fb?stream=true&starting_after=7"),
        (
            InputItems(),
            b"limit=5&order=asc&after=m%26x%3D1&include[]=a&stream=true",
            "/responses/a%2F..%3Fb/input_items?limit=5&order=asc&after=m%26x%3D1&include%5B%5D=a",
        ),
    ],
)
def test_of_a_query_the_known_names_go_on_and_an_id_is_one_part_of_the_path(endpoint, query, sent):
    call = endpoint.read(Asked(b"", {"id": "a/..?b"}, {}, query))
    sending = endpoint.dialects["openai"].request(call, THERE, output_limit=None, habits=Habits())
    assert (sending.path, sending.body) == (sent, ())
    assert orjson.dumps(sending.headers) == b'{"Authorization":"Bearer k"}'


def test_an_error_behind_events_without_numbers_begins_to_count():
    event = RESPONSES.error_event(Refusal(502, "provider_error", "x"), "req-1", b"data: {}\n\n: a comment\n\n")
    assert orjson.loads(event.partition(b"data: ")[2])["sequence_number"] == 0
