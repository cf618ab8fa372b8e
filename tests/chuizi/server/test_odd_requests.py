"""Whatever is odd about a request is refused with the connection's end, or read as what it honestly is.

Either way the bytes behind it are never taken for more than they are: each test sends an honest request after the odd
one, and knows whether that one may be answered.
"""

import pytest

GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
NEXT = ("GET", "/next", b"")
SMUGGLED = b"\r\n\r\nDELETE /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*headers: bytes, body: bytes = b"", line: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *headers, b"", b""]) + body


def chunks(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def length_of(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


REFUSED = {
    "two lengths": (400, post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
    "two lengths that agree": (400, post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5", body=b"hello")),
    "a signed length": (400, post(b"Content-Length: +5", body=b"hello")),
    "a negative length": (400, post(b"Content-Length: -5", body=b"hello")),
    "a length in hexadecimal": (400, post(b"Content-Length: 0x5", body=b"hello")),
    "a length with an underscore": (400, post(b"Content-Length: 1_0", body=b"hellohello")),
    "an empty length": (400, post(b"Content-Length:", body=b"hello")),
    "a length beyond all bounds": (400, post(b"Content-Length: " + b"9" * 20)),
    "a length in other digits": (400, post("Content-Length: ٥".encode(), body=b"hello")),
    "a length and chunks": (400, post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "chunks and a length": (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n")),
    "chunks over HTTP/1.0": (400, post(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0", body=b"0\r\n\r\n")),
    "gzip, chunked": (501, post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "chunked twice": (501, post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    "chunked on two lines": (501, post(*[b"Transfer-Encoding: chunked"] * 2, body=b"0\r\n\r\n")),
    "chunked and then identity": (501, post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n")),
    "identity": (501, post(b"Transfer-Encoding: identity", b"X: y", body=b"")),
    "xchunked": (501, post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "chunked with a parameter": (501, post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n")),
    "chunked behind a vertical tab": (400, post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    "an empty coding": (501, post(b"Transfer-Encoding:", body=b"")),
    "a space before the colon": (400, post(b"Content-Length : 5", body=b"hello")),
    "a tab before the colon": (400, post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n")),
    "a folded line": (400, post(b"X: a", b" b")),
    "a folded first header": (400, post(b" X: a", host=b"")),
    "a folded length": (400, post(b"Content-Length:", b" 5", body=b"hello")),
    "a header without a colon": (400, post(b"Content-Length 5", body=b"hello")),
    "a header without a name": (400, post(b": 5")),
    "a NUL in a value": (400, post(b"X: a\0b")),
    "a NUL in a name": (400, post(b"X\0: a")),
    "a name that is not ASCII": (400, post("Ä: a".encode())),
    "a delete character in a value": (400, post(b"X: \x7f")),
    "a bare line feed in a value": (400, post(b"X: a\nContent-Length: 5", body=b"hello")),
    "a bare carriage return in a value": (400, post(b"X: a\rContent-Length: 5", body=b"hello")),
    "line feeds alone": (400, b"GET / HTTP/1.1\nHost: x\n\n"),
    "a line feed alone at the head's end": (400, b"GET / HTTP/1.1\r\nHost: x\r\n\n"),
    "no Host": (400, post(host=b"")),
    "two Hosts": (400, post(b"Host: y")),
    "two Hosts that agree": (400, post(b"Host: x")),
    "a target of another host": (400, post(line=b"GET http://y/ HTTP/1.1")),
    "a target with user-info": (400, post(line=b"GET http://x@y/ HTTP/1.1")),
    "a target without a slash": (400, post(line=b"GET v1/models HTTP/1.1")),
    "a target of another scheme": (400, post(line=b"GET ftp://x/ HTTP/1.1")),
    "a target that is a star": (400, post(line=b"OPTIONS * HTTP/1.1")),
    "a target with a fragment": (400, post(line=b"GET /#a HTTP/1.1")),
    "a target that is not ASCII": (400, post(line="GET /ä HTTP/1.1".encode())),
    "a NUL in the target": (400, post(line=b"GET /\0 HTTP/1.1")),
    "a tunnel": (400, post(line=b"CONNECT x:443 HTTP/1.1")),
    "a tunnel with a path": (400, post(line=b"CONNECT / HTTP/1.1", host=b"")),
    "a method in lower case": (400, post(line=b"get / HTTP/1.1")),
    "no method": (400, post(line=b" / HTTP/1.1")),
    "two spaces": (400, post(line=b"GET  / HTTP/1.1")),
    "a tab between": (400, post(line=b"GET\t/ HTTP/1.1")),
    "a space behind the version": (400, post(line=b"GET / HTTP/1.1 ")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "HTTP/1.2": (505, post(line=b"GET / HTTP/1.2")),
    "HTTP/2.0": (505, post(line=b"GET / HTTP/2.0")),
    "HTTP/11": (400, post(line=b"GET / HTTP/11")),
    "the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a version in lower case": (400, post(line=b"GET / http/1.1")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "another expectation": (417, post(b"Expect: a-miracle", b"Content-Length: 5", body=b"hello")),
    "too many headers": (431, post(*[b"x: y"] * 201)),
    "chunk size: none": (400, chunks(b"\r\n\r\n")),
    "chunk size: no number": (400, chunks(b"xyz\r\n")),
    "chunk size: negative": (400, chunks(b"-1\r\n")),
    "chunk size: signed": (400, chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    "chunk size: 0x5": (400, chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "chunk size: beyond 64 bits": (400, chunks(b"1" + b"0" * 16 + b"\r\n")),
    "chunk size: a space before": (400, chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    "chunk size: a space behind": (400, chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    "chunk size: a bare line feed": (400, chunks(b"5\nhello\r\n0\r\n\r\n")),
    "chunk size: a bare carriage return": (400, chunks(b"5\rhello\r\n0\r\n\r\n")),
    "a line feed in a chunk's extension": (400, chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    "a chunk's extension without end": (400, post(b"Transfer-Encoding: chunked", body=b"5;" + b"a" * 300)),
    "a chunk that is longer than its size": (400, chunks(b"5\r\nhello!\r\n0\r\n\r\n")),
    "a chunk that ends in a line feed": (400, chunks(b"5\r\nhello\n0\r\n\r\n")),
    "a chunk that ends in two": (400, chunks(b"5\r\nhello\r\n\r\n0\r\n\r\n")),
    "a trailer without a colon": (400, chunks(b"0\r\nGET / HTTP/1.1\r\n\r\n")),
    "a trailer with a bare line feed": (400, chunks(b"0\r\na: b\nc: d\r\n\r\n")),
    "a length among trailers": (400, chunks(b"0\r\na: b\r\nContent-length: 5\r\n\r\nhello")),
    "chunks among trailers": (400, chunks(b"0\r\nTRANSFER-ENCODING: chunked\r\n\r\n")),
    "a folded trailer": (400, chunks(b"0\r\na: b\r\n c\r\n\r\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("cut", ["at once", "in pieces"])
def test_it_is_refused_and_nothing_behind_it_is_read(served, client, name, cut):
    status, sent = REFUSED[name]
    sent += GET
    pieces = [sent] if cut == "at once" else [sent[:7], sent[7:-40], sent[-40:]]
    assert client.send(*pieces).read_to_the_end() == [status]
    assert b'"error"' in client.seen
    assert b"x-request-id: req-" in client.seen
    assert served.requests == []


BODY = SMUGGLED + b"rest"
HONEST = {
    "an upgrade to nothing known": post(b"Connection: Upgrade", b"Upgrade: foo", length_of(BODY), body=BODY),
    "an upgrade to HTTP/2": post(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", length_of(BODY),
        body=BODY,
    ),
    "an upgrade to a WebSocket that is no GET": post(
        b"Connection: Upgrade", b"Upgrade: websocket", length_of(BODY), body=BODY
    ),
    "an upgrade that the connection does not name": post(b"Upgrade: websocket", length_of(BODY), body=BODY),
    "an upgrade to TLS": post(b"Connection: upgrade", b"Upgrade: TLS/1.0", length_of(BODY), body=BODY),
    "an upgrade with chunks": post(
        b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    ),
    "an upgrade of a GET with a body": post(
        b"Connection: Upgrade", b"Upgrade: foo", length_of(BODY), body=BODY, line=b"GET / HTTP/1.1"
    ),
    "HTTP2-Settings alone": post(b"HTTP2-Settings: AAMAAABkAAQAAP__", length_of(BODY), body=BODY),
    "chunked in another case": post(b"transfer-ENCODING: ChunkED", body=b"%X\r\n%b\r\n000\r\n\r\n" % (len(BODY), BODY)),
    "a chunk's extension": post(
        b"Transfer-Encoding: chunked", body=b'%x;a=b;c="d e"\r\n%b\r\n0 ;last\r\n\r\n' % (len(BODY), BODY)
    ),
    "spaces around a length": post(b"Content-Length: \t %d \t" % len(BODY), body=BODY),
    "a blank line before": b"\r\n" + post(length_of(BODY), body=BODY),
    "the host in the target": post(length_of(BODY), body=BODY, line=b"POST http://X/ HTTP/1.1"),
    "bytes beyond ASCII in a value": post(b"X: \xc3\xa4\xff", length_of(BODY), body=BODY),
    "an empty value": post(b"X:", b"Y: ", length_of(BODY), body=BODY),
    "a connection kept by name": post(b"Connection: Keep-Alive", length_of(BODY), body=BODY),
    "trailers announced": post(b"TE: trailers", b"Trailer: X", length_of(BODY), body=BODY),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("cut", ["at once", "in pieces", "byte by byte"])
def test_it_is_read_by_its_length_and_the_connection_goes_on(served, client, name, cut):
    sent = HONEST[name] + GET
    pieces = {
        "at once": [sent],
        "in pieces": [sent[:25], sent[25:-60], sent[-60:]],
        "byte by byte": [sent[at : at + 1] for at in range(len(sent))],
    }[cut]
    assert client.send(*pieces, pause=0.001 if len(pieces) > 9 else 0.03).read(answers=2) == [200, 200]
    [first, second] = served.requests
    assert (first[1:], second) == (("/", BODY), NEXT)


LAST = {
    "HTTP/1.0": post(length_of(BODY), body=BODY, line=b"POST / HTTP/1.0"),
    "HTTP/1.0 that wants to go on": post(
        b"Connection: keep-alive", length_of(BODY), body=BODY, line=b"POST / HTTP/1.0", host=b""
    ),
    "a close among others": post(b"Connection: foo, Close", length_of(BODY), body=BODY),
}  # fmt: skip


@pytest.mark.parametrize("name", LAST)
def test_it_is_the_last_of_its_connection(served, client, name):
    assert client.send(LAST[name] + GET).read_to_the_end() == [200]
    assert served.requests == [("POST", "/", BODY)]


def test_a_websocket_is_refused_in_plain_words_and_its_connection_ends(served, client):
    handshake = b"GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    handshake += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert client.send(handshake, b"\x81\x85" + GET).read_to_the_end() == [426]
    assert b"\r\nupgrade: HTTP/1.1\r\n" in client.seen
    assert served.requests == []
