"""Files that are no bills, or are bad ones: refused with their lines, and nothing of them is kept."""

import io
import json
import tracemalloc
from contextlib import suppress
from datetime import date
from decimal import Decimal
from tempfile import TemporaryFile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bills import storing, work
from proxy.bills.formats.known import FORMATS
from proxy.bills.reading import COLUMNS, BillError, read
from proxy.models import UpstreamBill, UpstreamBillLine
from tests.conftest import NOW
from tests.proxy.bills.conftest import FIRST, LAST

HEAD = "day,model,amount,input_tokens,currency,request_id\n"
GOOD = "2026-10-05,gpt-4.1,1.25,1000,USD,req-1\n"
UTC = ZoneInfo("UTC")
JSON_NAMES = ["data", "results", "start_time", "starting_at", "amount", "value", "amount_value", "model", "has_more"]


def taken(content: bytes | str, *, zone: ZoneInfo = UTC, code: str = "") -> list[list[str]]:
    """The lines of a file, as they would be stored."""
    raw = content.encode() if isinstance(content, str) else content
    with TemporaryFile() as spool:
        read(io.BytesIO(raw), spool, first=FIRST, last=LAST, zone=zone, code=code)
        return [line.decode().rstrip("\n").split("\t") for line in spool]


def refused(content: bytes | str, *, code: str = "") -> str:
    with pytest.raises(BillError) as error:
        taken(content, code=code)
    return str(error.value)


def line(**cells: str) -> str:
    usual = dict(zip(HEAD.strip().split(","), GOOD.strip().split(","), strict=True))
    return HEAD + GOOD + ",".join({**usual, **cells}.values()) + "\n"


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"amount": "NaN"}, "line 3: amount is no amount: 'NaN'"),
        ({"amount": "Infinity"}, "no amount"),
        ({"amount": "1e400"}, "no amount: '1e400'"),
        ({"amount": "1e99"}, "no amount: '1e99'"),
        ({"amount": "9999999999999"}, "no amount"),
        ({"amount": "-1.25"}, "below zero: -1.25"),
        ({"amount": "1_000"}, "no amount"),
        ({"amount": "١.٥"}, "no amount"),
        ({"amount": "$1.25"}, "no amount"),
        ({"amount": "=1+1"}, "no amount: '=1+1'"),
        ({"amount": ""}, "amount is empty"),
        ({"amount": "999999999999"}, "all lines together are more than could be"),
        ({"input_tokens": "-5"}, "input_tokens is no count: '-5'"),
        ({"input_tokens": "1.5"}, "no count"),
        ({"input_tokens": "9" * 30}, "no count"),
        ({"input_tokens": "NaN"}, "no count"),
        ({"day": "2026-13-01"}, "day is no day"),
        ({"day": "yesterday"}, "no day"),
        ({"day": ""}, "no day"),
        ({"day": "9999-12-31"}, "out of range"),
        ({"currency": "dollars"}, "no currency"),
        ({"currency": "CNY"}, "in CNY, where others are in USD"),
        ({"model": "m" * 300}, "more than 200 characters"),
        ({"model": "a\0b"}, "nobody can read"),
        ({"request_id": '"two\nlines"'}, "line 4: request_id has characters that nobody can read"),
        ({"model": "one,two"}, "another number of cells"),
    ],
)
def test_a_bad_cell_is_told_with_its_line(cells, words):
    said = refused(line(**cells))
    assert words in said, said


def test_every_bad_line_is_told_up_to_twenty():
    said = refused(HEAD + GOOD * 3 + GOOD.replace("1.25", "x") * 25).splitlines()
    assert said[0] == "line 5: amount is no amount: 'x'"
    assert (len(said), said[-1]) == (21, "and 5 more")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (HEAD, "the file has no lines"),
        ("a,b,c\n1,2,3\n", "no format has these columns: a, b, c"),
        ("day,day,amount\n1,2,3\n", "line 1: a column stands there twice"),
        (",".join(str(number) for number in range(300)) + "\n1\n", "more than 200 columns"),
        ((HEAD + GOOD).encode("utf-16"), "line 1: not UTF-8"),
        ((HEAD + GOOD + GOOD.replace("gpt-4.1", "模型")).encode("gbk"), "line 3: not UTF-8"),
        (HEAD + GOOD.replace("gpt-4.1", "x" * 70_000), "line 2: longer than 65536 bytes"),
        (HEAD + GOOD + '2026-10-05,"gpt,1,1,USD,\n' + GOOD * 5_000, "field larger than field limit"),
        (HEAD + GOOD.replace("2026-10-05", "2026-09-30"), "no line is of the days from 2026-10-01 to 2026-10-31"),
        (b"{", "line 1: no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"data": 5}', "no list named data"),
        (b'{"data": [{"start_time": 1, "results": [5]}]}', "no list named results"),
        (b'{"data": [], "has_more": false}', "the file has no lines"),
        (b'\xef\xbb\xbf{"data": [{"results": [{"a": "\xff"}]}]}', "not UTF-8"),
    ],
)
def test_a_file_that_is_no_bill_is_refused(content, words):
    said = refused(content)
    assert words in said, said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"day,model,amount\r2026-10-05,m,1\r", "line 1: new-line character"),
        (
            "day,model,amount\n2026-10-05,m,1\n".encode("utf-16-le"),
            "no format has these columns: d\ufffda\ufffdy\ufffd",
        ),
        (b'{"data": [{"start_time": 1, "results": [{"a\\ud800b": "1"}]}]}', "these columns: start_time, a\ufffdb"),
        (
            b'{"data": [{"start_time": "\\u0000", "results": []}, {"start_time": "\\u0000", "results": []}]}',
            "at \ufffd",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_that_can_be_stored(upstream, content, words):
    days = {"first": FIRST, "last": LAST}
    bill = storing.add(io.BytesIO(content), upstream=upstream, **days, keeps=True)
    assert work.finish_all(now=NOW) == 0
    bill.refresh_from_db()
    assert bill.state == "refused"
    assert words in bill.problem


def page(amount: str, *, more: str = "false", start: int = 1_791_158_400, end: int | None = None) -> str:
    ends = start + 86_400 if end is None else end
    result = f'{{"amount": {{"value": {amount}, "currency": "usd"}}, "line_item": "gpt-4.1, input"}}'
    return f'{{"data": [{{"start_time": {start}, "end_time": {ends}, "results": [{result}]}}], "has_more": {more}}}'


@pytest.mark.parametrize("amount", ["NaN", "-Infinity", "1e400", "-3", "9" * 5_000, '"x"'])
def test_numbers_of_pages_are_read_as_strictly(amount):
    assert refused(page(amount)).startswith("entry 1: amount_value")


def test_pages_are_whole_and_stand_there_once():
    assert "says that there are more" in refused(page("1", more="true"))
    assert "stands there twice" in refused(page("1", more="true") + page("1"))
    assert "longer than a day" in refused(page("1", end=1_791_158_400 + 7 * 86_400))
    assert len(taken(page("1", more="true") + "\n" + page("1", start=1_791_244_800))) == 2
    assert len(taken(f"[{page('1')}]")) == 1


def test_a_mark_at_the_beginning_windows_lines_and_other_separators_are_read():
    expected = taken(HEAD + GOOD)
    assert taken("\ufeff" + HEAD + GOOD) == expected
    assert taken((HEAD + GOOD).replace("\n", "\r\n")) == expected
    assert taken((HEAD + GOOD).replace(",", ";")) == expected
    assert taken((HEAD + GOOD).replace(",", "\t")) == expected


def test_names_stay_as_they_are_written():
    [found] = taken(line(model="\"=cmd|' /C calc'!A0\"").replace(GOOD, "", 1))
    assert found[2] == "=cmd|' /C calc'!A0"
    [found] = taken(line(model="a\\N").replace(GOOD, "", 1))
    assert found[2] == "a\\\\N"


def test_a_format_that_is_named_must_fit():
    assert "OpenRouter, requests: there is no cost_total" in refused(HEAD + GOOD, code="openrouter")
    assert taken(HEAD + GOOD, code="plain")


def test_a_moment_counts_on_its_day_in_the_bills_zone():
    log = "created_at,model_name,quota\n1791158399,m,500000\n"  # 2026-10-04 23:59:59 UTC
    assert taken(log)[0][1] == "2026-10-04"
    assert taken(log, zone=ZoneInfo("Asia/Shanghai"))[0][1] == "2026-10-05"


def test_columns_are_those_of_one_format_alone():
    for code, one in FORMATS.items():
        earlier = list(FORMATS)[: list(FORMATS).index(code)]
        assert not any(FORMATS[other].columns <= one.columns for other in earlier), code
        assert len(code) <= 20


def test_many_lines_are_read_in_bounded_memory(tmp_path):
    def most(lines: int) -> int:
        path = tmp_path / "bill.csv"
        path.write_text(HEAD + GOOD * lines)
        with path.open("rb") as file, TemporaryFile() as spool:
            tracemalloc.start()
            assert read(file, spool, first=FIRST, last=LAST, zone=UTC).lines == lines
            [_now, peak] = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return peak

    assert most(40_000) < most(4_000) + 500_000


CELLS = st.one_of(
    st.sampled_from(
        ["", "2026-10-05", "1791158400", "1.25", "1e-30", "-0", "NaN", "gen-1", "2", "USD", "batch", '"', "=1"]
    ),
    st.text(max_size=12),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(JSON_NAMES) | CELLS, inner, max_size=5),
    max_leaves=20,
)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw):
    with suppress(BillError):
        taken(raw)


@given(st.sampled_from(sorted(FORMATS)), st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=4))
def test_any_cells_are_read_or_refused(code, rows):
    columns = sorted(FORMATS[code].columns)
    lines = [",".join((row * len(columns))[: len(columns)]) for row in rows]
    with suppress(BillError):
        for line in taken("\n".join([",".join(columns), *lines]).encode("utf-8", "surrogatepass")):
            assert len(line) == len(COLUMNS)


@given(JSON, st.booleans())
def test_any_json_is_read_or_refused(document, is_page):
    page = {"data": [{"start_time": 1_791_158_400, "results": [document]}]} if is_page else document
    with suppress(BillError):
        taken(json.dumps(page))


@pytest.mark.django_db
def test_nothing_of_a_bad_file_is_stored(upstream):
    file = io.BytesIO((HEAD + GOOD * 100 + GOOD.replace("1.25", "x")).encode())
    bill = storing.add(file, upstream=upstream, first=FIRST, last=LAST)
    with pytest.raises(BillError, match="line 102"):
        work.finish(bill, file, now=NOW)
    bill.refresh_from_db()
    assert (bill.state, bill.problem) == ("refused", "line 102: amount is no amount: 'x'")
    assert not UpstreamBillLine.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"first": LAST, "last": FIRST}, "from the first to the last"),
        ({"first": date(2020, 1, 1)}, "400 at most"),
        ({"zone": "Mars/Olympus"}, "no zone 'Mars/Olympus'"),
        ({"code": "excel"}, "no format 'excel'"),
    ],
)
def test_days_zone_and_format_are_looked_at_first(upstream, told, words):
    with pytest.raises(BillError, match=words):
        storing.add(io.BytesIO(b"x"), upstream=upstream, **{"first": FIRST, "last": LAST, **told})
    assert not UpstreamBill.objects.exists()


@pytest.mark.django_db
def test_a_bill_is_in_the_upstreams_currency_or_in_dollars(upstream):
    content = (HEAD + GOOD).replace("USD", "EUR").encode()
    file = io.BytesIO(content)
    bill = storing.add(file, upstream=upstream, first=FIRST, last=LAST)
    with pytest.raises(BillError, match="it is in EUR: main is paid in USD"):
        work.finish(bill, file, now=NOW)
    assert Decimal(UpstreamBill.objects.get().lines) == 0
