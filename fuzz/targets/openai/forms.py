"""Any bytes are a form that is written anew as it was read, however it came in pieces, or the caller's fault."""

from contextlib import ExitStack, closing

from proxy.errors import Refusal
from proxy.protocols.base import BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.openai.audio.transcripts import Transcriptions
from proxy.uploads.form import Form, write
from proxy.uploads.parts import PartReader
from proxy.uploads.spool import Spool, Stored

BOUNDARY = b"xYz"
SEEDS = [
    b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai/m\r\n--xYz\r\nContent-Disposition: form-data;'
    b' name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--xY\r\n\r\n--xYz--\r\n',
    b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--xYz\r\nContent-Disposition: form-data;'
    b' name="include[]"\r\n\r\nlogprobs\r\n--xYz\r\nContent-Disposition: form-data; name=file; filename=a.mp3;'
    b" filename*=utf-8''a.mp3\r\nContent-Transfer-Encoding: binary\r\n\r\nID3\r\n--xYz--",
]
WORDS = [
    b"--xYz\r\n",
    b"--xYz--",
    b"\r\n",
    b'Content-Disposition: form-data; name="model"',
    b'; filename="',
    b"[]",
    b'"',
]
EXAMPLES = 400


def check(data: bytes) -> None:
    with ExitStack() as spools:
        whole, cut = (_read(data, spools, step) for step in (len(data) or 1, 7))
        if whole is None or cut is None:
            return  # a preamble or an epilogue may be seen or not
        assert _shown(whole) == _shown(cut), "how it came decides what it is"
        written = write(whole.parts)
        body = b"".join(map(_bytes, written.pieces))
        assert len(body) == len(written)
        again = _read(body, spools, 100, boundary=written.content_type.rpartition("=")[2].encode())
        assert again is not None
        assert _shown(again) == _shown(whole)
        try:
            call = Transcriptions().read(Asked(b"", {}, {}, form=whole))
        except (BadRequest, Refusal):
            return
        [model], [file] = whole.named("model"), whole.named("file")
        assert (call.model, file.filename is None) == (model.text, False)


def _read(data: bytes, spools: ExitStack, step: int, *, boundary: bytes = BOUNDARY) -> Form | None:
    spool = spools.enter_context(closing(Spool(None)))
    reader = PartReader(boundary, spool)
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
            spool.write(reader.take())
        form = reader.end()
        spool.write(reader.take())
    except Refusal:
        return None
    return form


def _shown(form: Form) -> list[tuple[str, bool, bytes]]:
    return [(part.name, part.filename is not None, _bytes(part.data)) for part in form.parts]


def _bytes(piece: bytes | Stored) -> bytes:
    return piece if isinstance(piece, bytes) else piece.read(0, piece.size)
