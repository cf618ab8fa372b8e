"""Forms as they come, in pieces of any length; and those that servers would read in two ways."""

import pytest

from proxy.errors import Refusal
from proxy.uploads import parts as reading
from proxy.uploads.form import Form, write
from proxy.uploads.heads import boundary_of
from proxy.uploads.parts import PartReader
from proxy.uploads.spool import Stored
from tests.uploads import BOUNDARY, file, form, part, text

TRICKY = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n\r\n-" + b"\r" * 50
WHOLE = form(
    text("model", "openai/m"),
    file("file", TRICKY * 20, filename="C:\\Musik\\Grüße; \x7e.mp3", kind="audio/mpeg;codecs=x"),
    text("prompt", "Grüße"),
    file("empty", b""),
)


@pytest.fixture
def read(make_spool):
    def read(body: bytes, *, step: int = 2**20, boundary: str = BOUNDARY) -> Form:
        spool = make_spool()
        reader = PartReader(boundary.encode(), spool)
        for at in range(0, len(body), step):
            reader.feed(body[at : at + step])
            spool.write(reader.take())
        found = reader.end()
        spool.write(reader.take())
        return found

    return read


def bytes_of(form: Form) -> list[tuple[str, bytes]]:
    return [(one.name, one.data if isinstance(one.data, bytes) else one.data.read(0, 2**20)) for one in form.parts]


@pytest.mark.parametrize("step", [1, 2, 3, 17, 64, 1000, 2**20])
@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_a_form_is_the_same_however_it_is_cut(read, step, end):
    found = read(WHOLE.removesuffix(b"\r\n") + end, step=step)
    assert bytes_of(found)[:3] == [("model", b"openai/m"), ("file", TRICKY * 20), ("prompt", "Grüße".encode())]
    assert found.parts[1].kind == "audio/mpeg"
    assert [one.text for one in found.parts] == ["openai/m", None, "Grüße", None]


def test_a_file_may_be_named_in_chinese_as_dotnet_does(read):
    named = "name=file; filename=\"=?utf-8?B?5Lya6K6uLm1wMw==?=\"; filename*=utf-8''%E4%BC%9A%E8%AE%AE.mp3"
    assert read(form(part(f"form-data; {named}", "x"))).parts[0].filename == "会议.mp3"


def test_what_is_written_anew_reads_as_what_came(read):
    found = read(WHOLE)
    again = write(found.parts)
    body = b"".join(piece if isinstance(piece, bytes) else piece.read(0, 2**20) for piece in again.pieces)
    assert len(again) == len(body)
    assert b'filename="Gr__e_ _.mp3"' in body
    assert BOUNDARY.encode() + b"\r\n\r\nContent" not in body
    boundary = again.content_type.rpartition("=")[2]
    assert bytes_of(read(body, boundary=boundary)) == bytes_of(found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        b"no form",
        WHOLE[:-4],
        WHOLE[:-20],
        b"a preamble\r\n" + WHOLE,
        WHOLE + b"\r\nan epilogue",
        WHOLE.replace(b"\r\n", b"\n"),
        form(),
        form(b"no head at all"),
        form(b"Content-Type: text/plain\r\n\r\nx"),
        form(part('attachment; name="model"', "x")),
        form(part("form-data", "x")),
        form(part('form-data; name=""', "x")),
        form(part('form-data; name="a"; name="model"', "x")),
        form(part('form-data; name="a"; NAME="model"', "x")),
        form(part('form-data; name="a"; filename="b"; filename="c"', "x")),
        form(part("form-data; name=\"a\"; filename*=utf-8''b.mp3", "x")),
        form(part("form-data; name=\"a\"; filename=\"b.wav\"; filename*=utf-8''b.mp3", "x")),
        form(part("form-data; name=\"a\"; filename=\"=?utf-8?B?Yi53YXY=?=\"; filename*=utf-8''b.mp3", "x")),
        form(part("form-data; name=\"a\"; filename=\"=?utf-8?B?/w==?=\"; filename*=utf-8''b.mp3", "x")),
        form(part("form-data; name*=utf-8''model", "x")),
        form(part('form-data; name="a\\"; name=\\"model"', "x")),
        form(part('form-data; name="a%22; name=%22model"', "x")),
        form(part('form-data; name="a\tb"', "x")),
        form(part('form-data; name="mo\r\n del"', "x")),
        form(part('form-data; name="a b"', "x")),
        form(part('form-data; name="a[b][c]"', "x")),
        form(part('form-data; name="[model]"', "x")),
        form(part('form-data; name="a]["', "x")),
        form(part('form-data; name="mod\u00e9l"', "x")),
        form(part('form-data; name="_charset_"', "utf-16")),
        form(part('form-data; name="a"', "x", "Content-Type: multipart/mixed; boundary=b")),
        form(part('form-data; name="a"', "x", "Content-Type: text/plain; charset=utf-16")),
        form(part('form-data; name="a"', "x", "Content-Transfer-Encoding: base64")),
        form(part('form-data; name="a"', "x", "Content-Transfer-Encoding: quoted-printable")),
        form(part('form-data; name="a"', "x", 'Content-Disposition: form-data; name="model"')),
        form(part('form-data; name="a"', "x", "X-Other: y")),
        form(part('form-data; name="a"', "x", "Content-Length: 7")),
        form(part('form-data; name="a"', "x", f"X-Long: {'y' * 3000}")),
        form(part('form-data; name="a"', "x", *["Content-Type: text/plain"] * 5)),
        form(text("a", b"\xff")),
        form(*[text(f"a{number}", "x") for number in range(reading.MOST_PARTS + 1)]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [5, 2**20])
def test_a_form_that_could_be_read_in_two_ways_is_refused(read, body, step):
    with pytest.raises(Refusal) as refused:
        read(body, step=step)
    assert (refused.value.status, refused.value.code) == (400, "validation_error")


@pytest.mark.parametrize(
    "kind",
    [
        *("multipart/form-data", "multipart/mixed; boundary=a", "multipart/form-data; boundary=", "text/plain"),
        *("multipart/form-data; boundary=a; boundary=b", f"multipart/form-data; boundary={'a' * 71}"),
        *('multipart/form-data; boundary="a b"', "multipart/form-data; boundary=a; charset=utf-16"),
        *("multipart/form-data; boundary=a, multipart/form-data; boundary=b", 'multipart/form-data; boundary="a\\"b"'),
    ],
)
def test_a_content_type_with_no_one_boundary_is_refused(kind):
    with pytest.raises(Refusal):
        boundary_of(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=a",
        'Multipart/Form-Data;boundary="a"',
        "multipart/form-data; boundary=a; charset=UTF-8",
    ],
)
def test_a_boundary_may_be_quoted(kind):
    assert boundary_of(kind) == b"a"


def test_long_texts_and_many_go_to_the_spool_and_are_no_texts(read, monkeypatch):
    monkeypatch.setattr(reading, "MOST_TEXT", 100)
    monkeypatch.setattr(reading, "MOST_TEXTS", 150)
    found = read(form(text("a", "x" * 101), text("b", "y" * 100), text("c", "z" * 51), text("d", "w" * 50)), step=7)
    assert [one.text for one in found.parts] == [None, "y" * 100, None, "w" * 50]
    assert bytes_of(found)[::2] == [("a", b"x" * 101), ("c", b"z" * 51)]


def test_a_spool_that_is_closed_is_read_by_nobody(read):
    found = read(WHOLE)
    stored = found.parts[1].data
    assert isinstance(stored, Stored)
    stored.spool.close()
    for act in (lambda: stored.read(0, 1), stored.spool.duplicate):
        with pytest.raises(OSError, match="over"):
            act()
