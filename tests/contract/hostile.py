"""Hostile values: what programs, people and attackers send instead of what is asked for."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import uuid4

BIG = 2**63
RAW_VALUES = [
    *(str(number).encode() for number in (BIG, BIG - 1, -BIG, -BIG - 1, 2**64, 2**31, -1, 0)),
    *(b"9" * 5000, b"-" + b"9" * 5000, b"1e400", b"-1e400", b"1e-400", b"-0", b"-0.0", b"1.5"),
    *(b"0." + b"1" * 5000, b"NaN", b"Infinity", b"-Infinity", b"0x10", b"01", b"+1", b"1_000"),
    *(b"null", b"true", b"false", b"1", b'""', b'" "', b'"a"', b"[]", b"{}", b"[[]]", b"[null]"),
    *(b'"a\\u0000b"', b'"\\u0000"', b'"a\x00b"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d"'),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"', b'"a\nb"', b'"\\q"'),
    *(
        b'"a\\u202e\\u2066b"',
        b'"\\u200b"',
        b'"\\u0085"',
        b'"\\u001b[31m"',
        b'"\\r\\nX-Injected: 1"',
    ),
    *(json.dumps("x" * length).encode() for length in (201, 5_001, 100_001)),
    *(b'"0000-01-01T00:00:00Z"', b'"9999-12-31T23:59:59-14:00"', b'"10000-01-01T00:00:00Z"'),
    *(b'"0001-01-01T00:00:00+14:00"', b'"2027-02-30T00:00:00Z"', b'"2027-01-01T24:00:00Z"'),
    *(b'"2027-01-01T00:00:60Z"', b'"2027-01-01"', b'"2027-01-01T00:00:00"', b'"1e9"'),
    *(b'"2027-01-01T00:00:00+99:99"', b'"2027-W01-1T00:00:00Z"', b'"-2027-01-01T00:00:00Z"'),
    *(
        b'"' + text + b'"'
        for text in (b"'; DROP TABLE users; --", b"${jndi:x}", b"../../etc/passwd")
    ),
    *(b'"{0193a1c2-7f00-7000-8000-00000000000a}"', b'"0193A1C2-7F00-7000-8000-00000000000A"'),
    *(b'"00000000-0000-0000-0000-000000000000"', b'"not-a-uuid"', b'{"__proto__": {}}'),
    *(b'{"amount": 1}', b'{"a": {"b": {"c": 1}}}', b"[" * 40 + b"]" * 40, b"[1, 2, 3]", b"[[1]]"),
    *(b"[" + b"0," * 2000 + b"0]", b'{"a": 1, "a": 2}', b'"xn--"', b'"a@b"', b'"\\u212a"'),
]
"""What a member of a body is given instead of its value, as JSON text (some of it is none)."""


def bodies(limit: int, valid: bytes) -> dict[str, bytes]:
    """Return whole bodies by name.

    Args:
        limit: most bytes that the app takes.
        valid: a body that would do.
    """
    inner = valid.strip()[1:-1] or b'"a": 1'
    return {
        **{
            f"instead {text[:24]!r}": text
            for text in (
                *(b"", b" ", b"null", b"[]", b'""', b'"text"', b"0", b"1.5", b"true", b"false"),
                *(b"NaN", b"-Infinity", b"1e400", b"9" * 5000, b"{", b"}", b"[", b"nul", b"{]"),
                *(b"{'a': 1}", b'{"a": 1,}', b"{a: 1}", b'{"a" 1}', b"/* */ {}", b"{}{}", b"{} x"),
                *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80abc", b"<a/>", b"a=1&b=2", b"--x"),
                *(b'{"": 1}', b'{"a\\u0000": 1}', b'{"\\ud800": 1}', b'{"__proto__": 1}', b"[{}]"),
            )
        },
        "twice the same member": b"{" + inner + b"," + inner + b"}",
        "an unknown member": b"{" + inner + b', "unknown_member": 1}',
        "after a byte order mark": b"\xef\xbb\xbf" + valid,
        "UTF-16": valid.decode().encode("utf-16"),
        "UTF-32": valid.decode().encode("utf-32"),
        "UTF-16 without a mark": valid.decode().encode("utf-16-le"),
        "inside a list": b"[" + valid + b"]",
        "cut off": valid[:-1],
        "NUL behind": valid + b"\x00",
        "gzip": gzip.compress(valid),
        "1,000 arrays": b"[" * 1000 + b"]" * 1000,
        "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
        "1,000 objects": b'{"a":' * 1000 + b"1" + b"}" * 1000,
        "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "unclosed depth": b"[" * 100_000,
        "many members": b"{" + b",".join(b'"k%d": 1' % number for number in range(20_000)) + b"}",
        "long key": b'{"' + b"k" * 100_000 + b'": 1}',
        "just the limit": b" " * (limit - len(valid)) + valid,
        "over the limit": b" " * (limit + 1 - len(valid)) + valid,
        "far over the limit": b'{"a": "' + b"x" * (3 * limit) + b'"}',
    }


SEGMENTS = [
    *("%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80", "%f0%9f%92%a9", "%20", "%0d%0aX-Injected:%201"),
    *("..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5c..%5c", "%2f", "%252f", "..;", ".", "*", "~", "%"),
    *("9223372036854775808", "-1", "0", "NaN", "null", "undefined", "true", "1e400", "9" * 5000),
    *("x" * 10_000, "%7B%7D", "%5B%5D", "'%20OR%20'1'='1", "<script>", "${x}", "{{7*7}}", "a;b=c"),
    *("{0193a1c2-7f00-7000-8000-00000000000a}", "0193a1c27f0070008000" + "0" * 11 + "a"),
    *("0193A1C2-7F00-7000-8000-00000000000A", "0193a1c2-7f00-7000-8000-00000000000"),
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *("urn:uuid:0193a1c2-7f00-7000-8000-00000000000a", "0193a1c2-7f00-7000-8000-00000000000a%00"),
    *("0193a1c2-7f00-7000-8000-00000000000a%20", "eyJhbGciOiJub25lIn0.e30.", ".eJw.x.y", "a.b.c"),
]
"""What a path parameter is given, percent-encoded."""

QUERY_VALUES = [
    *("", "%00", "a%00b", "%ff", "%ed%a0%80", "%c3%28", "%20", "%F0%9F%92%A9", "0", "-1", "1.5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 5000, "1e400"),
    *("NaN", "Infinity", "-0", "+1", "0x10", "1_0", "%D9%A1", "null", "true", "[]", "{}", "a,b"),
    *("x" * 201, "x" * 7000, "' OR 1=1 --".replace(" ", "%20"), "..%2f", "%0d%0a", "<script>"),
    *("0193a1c2-7f00-7000-8000-00000000000a", "not-a-uuid", "AAAA", "e30=", "e30", "eyJhIjoxfQ"),
    *("WzEsMl0", "W10", "bnVsbA", "////", "-_-_", "MDE5M2ExYzI", "a@b", "dana@acme.example%00"),
]
QUERIES = [
    *("unknown=1", "limit=1&limit=2", "cursor=a&cursor=b", "limit[]=1", "limit[$gt]=1", "=", "=1"),
    *(
        "&&&",
        "?",
        "%00=1",
        "%ff=1",
        "a%00b=c",
        "%ed%a0%80=1",
        "LIMIT=1",
        "limit",
        "limit=",
        "sort=x",
    ),
    *("&".join(f"a{number}=1" for number in range(2000)), "a=" + "x" * 8000, "_method=DELETE", ";"),
    *("page=1", "access_token=x", "fields=*", "__proto__[a]=1", "limit=5;cursor=x", "%"),
]

CONTENT_TYPES = [
    *("", "application/json; charset=utf-16", "application/json;charset=latin-1", "text/json"),
    *("application/json; charset=nonsense", "APPLICATION/JSON", "application/json;", "json"),
    *("application/vnd.api+json", "application/x-www-form-urlencoded", "text/plain", "text/xml"),
    *("multipart/form-data", "multipart/form-data; boundary=x", "application/json, text/plain"),
    *("application/octet-stream", "*/*", "application/json; q=\x7f", "a" * 5000, "/", "a/b/c"),
    *("application/problem+json", "application/jsonp", 'application/json; charset="'),
]

NOT_TOKENS = [
    *("", "Bearer", "Bearer ", "Bearer  ", "bearer x", "Basic dTpw", "Digest x", "Bearer a b", "x"),
    *("Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ4In0.", "Bearer ...", "Bearer a.b.c"),
    *("Bearer " + "x" * 30_000, "Bearer \xe9\xff", "Bearer null", "Bearer [object Object]"),
    *("Bearer eyJhbGciOiJIUzI1NiJ9.bnVsbA.x", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Bearer %00"),
]

HOSTS = [
    *("", "localhost", "127.0.0.1", "[::1]", "[::1", "nobody.localhost", "nobody.localhost:80:80"),
    *("a" * 300 + ".localhost", "..localhost", ".localhost", "a b.localhost", "xn--.localhost"),
    *("xn--a-ecp.ru", "nobody.localhost:99999", "nobody.localhost:x", "user@nobody.localhost"),
    *(
        "nobody.localhost/path",
        "nobody.localhost#x",
        "caf\xe9.localhost",
        "%00.localhost",
        "_",
        "*",
    ),
]

E_TAGS = [
    *("", "*", '"1"', '"0"', '"-1"', "1", 'W/"1"', '"9223372036854775808"', '"' + "9" * 5000 + '"'),
    *('"', '""', '"a", "b"', "*, *", '"\xb2"', '"\u0661"'.encode().decode("latin-1"), " ", "\xe9"),
    *('"1" ', ",", '"1e400"', '"NaN"', "x" * 5000, '"1","1"', "null"),
]

KEYS = ["", " ", "x" * 255, "x" * 256, "x" * 5000, "\xe9", "a\tb", "\x7f", '"quoted"', "a,b", "%00"]

OTHERS: list[tuple[str, str]] = [
    *(("Accept", value) for value in ("", "text/html", "*/*;q=0", "image/*", "x" * 500, "a/b;q=9")),
    *(("Accept-Encoding", value) for value in ("gzip", "*;q=0", "identity;q=0", "br", "\xff")),
    *(("Accept-Language", value) for value in ("", "xx-" * 500, "\xff", "*")),
    *(("X-HTTP-Method-Override", value) for value in ("DELETE", "PUT", "TRACE", "")),
    *(("X-Forwarded-Host", value) for value in ("evil.example", "admin.localhost", "a,b", "")),
    *(("X-Forwarded-For", value) for value in ("127.0.0.1", "x", "1" * 5000)),
    *(("X-Original-URL", value) for value in ("/api/v1/platform/organizations", "/healthz")),
    *(("X-Forwarded-Proto", value) for value in ("gopher", "https,http")),
    *(("Expect", value) for value in ("100-continue", "nonsense")),
    *(("Range", value) for value in ("bytes=0-", "bytes=-1", "bytes=9-1", "bytes=a-b", "x")),
    *(("Range", value) for value in ("bytes=0-0,1-1,2-2", "bytes=" + "9" * 5000 + "-", "bytes=")),
    *(("If-Range", value) for value in ('"x"', "Mon, 99 Abc 0000 99:99:99 GMT", "\xff", "")),
    *(("If-Modified-Since", value) for value in ("x", "Mon, 01 Jan 99999 00:00:00 GMT", "")),
    *(("If-Unmodified-Since", value) for value in ("x", "Mon, 01 Jan 0000 00:00:00 GMT")),
    *(("Content-Encoding", value) for value in ("gzip", "br", "identity", "x,y", "")),
    *(("Transfer-Encoding", value) for value in ("gzip", "identity", "x")),
    *(
        ("Content-Length", value)
        for value in ("-1", "abc", "0", "99999999999999999999", "1e3", "+5")
    ),
    *(("Cookie", value) for value in ("a=b", "x" * 5000, "=;=;", "session=\xff", "a=b; a=c")),
    *(("Origin", value) for value in ("null", "https://evil.example", "\xff", "x" * 5000)),
    *(("X-Request-ID", value) for value in ("", "x" * 5000, "\xff", "a b", "../..", "%00")),
    *(("Upgrade", value) for value in ("websocket", "h2c")),
    *(("Connection", value) for value in ("close", "Authorization", "upgrade")),
    *(("Content-Language", value) for value in ("xx", "")),
    *(("X-Long", "x" * length) for length in (1000, 60_000)),
    *(("Forwarded", value) for value in ("host=evil.example", "for=;;", "\xff")),
    *(("Via", "x" * 500), ("Date", "x"), ("User-Agent", ""), ("User-Agent", "\xff" * 100)),
    *(("Max-Forwards", "-1"), ("Authorization-Extra", "x"), ("Proxy-Authorization", "Basic x")),
]

METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "FOO",
    "get",
]


def placed(body: Any, place: tuple[str, ...], raw: bytes) -> bytes:
    """Return a body as JSON text, with raw text as the value of one member."""
    mark = uuid4().hex
    copy = json.loads(json.dumps(body))
    target: Any = copy
    for step in place[:-1]:
        target = _entered(target, step)
        if target is None:
            return raw
    if not isinstance(target, dict):
        return raw
    target[place[-1]] = mark
    return json.dumps(copy).encode().replace(f'"{mark}"'.encode(), raw)


def without(body: Any, place: tuple[str, ...]) -> bytes:
    """Return a body as JSON text, without one member."""
    copy = json.loads(json.dumps(body))
    target: Any = copy
    for step in place[:-1]:
        target = _entered(target, step)
    if isinstance(target, dict):
        target.pop(place[-1], None)
    return json.dumps(copy).encode()


def _entered(target: Any, step: str) -> Any:
    if isinstance(target, list):
        return target[int(step)] if target else None
    if isinstance(target, dict):
        return target.setdefault(step, {})
    return None
