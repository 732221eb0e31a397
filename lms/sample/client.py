"""A client of our own API as a front end would write it: HTTP, JSON, bearer tokens.

Hosts below `localhost` are reached on the loopback address with the right Host header, because not
every resolver knows `*.localhost` (RFC 6761 leaves it to them).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx


class UnexpectedAnswerError(Exception):
    """The API did not answer as the walk needs; the message shows what it said."""


class ApiClient:
    """Calls one host of the API, signed in or not.

    Args:
        host: `acme.localhost`, for example.
        port: where the API listens on this machine.
        token: access token, or None.
    """

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
        self.host = host
        self._port = port
        self._token = token
        self._http = httpx.Client(timeout=httpx.Timeout(60.0, connect=5.0), trust_env=False)

    def signed_in(self, path: str, email: str, password: str) -> ApiClient:
        """Sign in and return a client that acts as that account."""
        answer = self.post(path, {"email": email, "password": password})
        return ApiClient(self.host, self._port, answer["access_token"])

    def get(self, path: str, **query: Any) -> Any:
        """GET JSON; anything but success raises."""
        return self._json("GET", path, params=query)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """POST JSON, with an Idempotency-Key when money moves."""
        return self._json("POST", path, json=body, key=key)

    def put(self, path: str, body: Any, *, if_match: str | None = None) -> Any:
        """PUT JSON, based on the state that `if_match` names."""
        return self._json("PUT", path, json=body, if_match=if_match)

    def status_of(self, method: str, path: str, body: Any = None) -> int:
        """Return the status of a call that may well be refused."""
        return self._send(method, path, json=body).status_code

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Yield every item of a paged list."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def upload(self, url: str, content: bytes, headers: dict[str, str]) -> None:
        """PUT bytes to a signed address."""
        _expect_success(self._follow("PUT", url, content=content, headers=headers))

    def fetch(self, url: str, *, byte_range: tuple[int, int] | None = None) -> bytes:
        """GET bytes from a signed address, or the range from `first` to `last` byte, inclusive."""
        headers = {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"} if byte_range else {}
        return _expect_success(self._follow("GET", url, headers=headers)).content

    def _json(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        if_match: str | None = None,
        **options: Any,
    ) -> Any:
        headers: dict[str, str] = {}
        if key is not None:
            headers["Idempotency-Key"] = key
        if if_match is not None:
            headers["If-Match"] = if_match
        response = _expect_success(self._send(method, path, headers=headers, **options))
        return response.json() if response.content else None

    def _send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return self._http.request(
            method,
            f"http://127.0.0.1:{self._port}/api/v1{path}",
            headers={"Host": f"{self.host}:{self._port}", **authorization, **(headers or {})},
            **options,
        )

    def _follow(
        self, method: str, url: str, *, headers: dict[str, str], **options: Any
    ) -> httpx.Response:
        parts = urlsplit(url)
        if (parts.hostname or "").endswith(".localhost"):
            headers = {"Host": parts.netloc, **headers}
            url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{parts.port or 80}"))
        return self._http.request(method, url, headers=headers, **options)


def _expect_success(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise UnexpectedAnswerError(
            f"{response.request.method} {response.request.url.path} answered"
            f" {response.status_code}: {response.text[:600]}"
        )
    return response
