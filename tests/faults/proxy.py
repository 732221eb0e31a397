"""A TCP proxy that spoils the HTTP traffic through it: slow, silent, reset, refused, cut short."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress
from typing import Literal, Self, cast

Mode = Literal["pass", "delay", "hang", "reset", "refuse", "truncate"]

CHUNK_BYTES = 64 * 1024
DELAY_SECONDS = 0.3
"""What each piece of a request waits for in mode `delay`."""

REFUSAL_BODY = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(REFUSAL_BODY), REFUSAL_BODY)
)


class Proxy:
    """Stands before one TCP server; `mode` may be changed at any time, also for open connections.

    Modes: `pass`; `delay` (each piece of a request waits); `hang` (nothing arrives until the mode
    changes); `reset` (connections break); `refuse` (503 with S3's SlowDown); `truncate` (answers
    end in the middle of their body).

    Args:
        port: the server's, on 127.0.0.1.

    Attributes:
        mode: what happens to the traffic.
        spoiled: how many pieces of it were spoiled so far.
    """

    def __init__(self, port: int) -> None:
        self.mode: Mode = "pass"
        self.spoiled = 0
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.proxy = self
        self._server.target = port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="proxy", daemon=True
        )

    @property
    def url(self) -> str:
        """Where clients reach the server through the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.mode = "reset"
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spoil(self) -> Mode:
        """Return the mode that a piece of traffic meets, and count it unless it passes."""
        mode = self.mode
        self.spoiled += mode != "pass"
        return mode


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    proxy: Proxy
    target: int


class _Connection(socketserver.BaseRequestHandler):
    """One client's connection, and the one to the server that it is joined with."""

    request: socket.socket

    def handle(self) -> None:
        server = cast("_Server", self.server)
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.target)) as target:
            answers = threading.Thread(
                target=self._answers, args=(server.proxy, target), daemon=True
            )
            answers.start()
            try:
                self._requests(server.proxy, target)
            finally:
                _end(target)
                answers.join()

    def _requests(self, proxy: Proxy, target: socket.socket) -> None:
        while data := self.request.recv(CHUNK_BYTES):
            mode = proxy.spoil()
            if mode == "delay":
                time.sleep(DELAY_SECONDS)
            while mode == "hang" and proxy.mode == "hang":
                time.sleep(0.05)
            if mode == "reset":
                _reset(self.request)
                return
            if mode == "refuse":
                self.request.sendall(REFUSAL)
                return
            target.sendall(data)

    def _answers(self, proxy: Proxy, target: socket.socket) -> None:
        with suppress(OSError):
            while data := target.recv(CHUNK_BYTES):
                kept = _cut(data) if proxy.mode == "truncate" else data
                self.request.sendall(kept)
                if kept != data:
                    proxy.spoil()
                    break
        _end(self.request)


def _cut(data: bytes) -> bytes:
    """Return a piece of an answer without the second half of the body that is in it.

    A cut head would be no fault that happens: servers send it in one piece.
    """
    head = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if data.startswith(b"HTTP/") else b""
    return data[: (len(head) + len(data)) // 2]


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    """Close so that the other side gets a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
