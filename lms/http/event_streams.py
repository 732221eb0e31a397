"""Server-sent events (WHATWG HTML, section 9.2): one thing that changes, until it has ended.

The server (granian, WSGI) makes an answer's parts in the thread that took the request, so an open
stream has one of its process's few threads to itself, and keeps a server that is asked to stop
waiting for as long as it lasts. Hence few streams in each process, each of them short; browsers
connect again by themselves. A client that has left is noticed when something is written to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from flask import Response

from lms.core.errors import DomainError, NotFoundError
from lms.http.blueprint import EVENT_STREAM
from tenants.errors import TenancyError

log = structlog.get_logger()

STREAMS_PER_PROCESS = 2
"""Of the four threads that each process of the API has (Dockerfile, `lms up`)."""

LOOK_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 5.0
LONGEST_SECONDS = 120.0
RETRY_MILLISECONDS = 2_000


class StreamsBusyError(DomainError):
    """As many streams are open as this process can spare threads for."""

    kind = "unavailable"
    code = "streams_busy"


@dataclass(frozen=True, slots=True)
class Event:
    """What is told about the thing.

    Attributes:
        id: differs whenever there is something new to tell; no line breaks.
        name: what clients listen for.
        data: JSON text, in one line.
        is_last: nothing will follow; the stream ends with it.
    """

    id: str
    name: str
    data: str
    is_last: bool

    def __str__(self) -> str:
        return f"id: {self.id}\nevent: {self.name}\ndata: {self.data}\n\n"


class EventStreams:
    """The streams of this process: one of each organization at most, so that none has them all.

    Args:
        limit: most that are open at the same time.
    """

    def __init__(self, limit: int = STREAMS_PER_PROCESS) -> None:
        self._limit = limit
        self._open: set[UUID] = set()
        self._lock = threading.Lock()

    def follow(
        self, look: Callable[[], Event], *, organization_id: UUID, last_seen: str | None
    ) -> Response:
        """Answer with a stream of what `look` finds, whenever its id is another one.

        Args:
            look: a short transaction of its own; the first is made here, so that its refusals are
                answers. Called outside of the request, too.
            organization_id: whose stream it is.
            last_seen: the client's Last-Event-ID. One who has seen the last event and connects
                again, as browsers do, is told by 204 to stop.

        Raises:
            StreamsBusyError: no stream is free.
        """
        first = look()
        if first.is_last and first.id == last_seen:
            return Response(status=204)
        slot = self._taken(organization_id)
        response = Response(_parts(first, look, slot), mimetype=EVENT_STREAM)
        response.call_on_close(slot.give_back)
        # nginx collects answers unless it is told not to.
        response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        return response

    def _taken(self, organization_id: UUID) -> _Slot:
        with self._lock:
            if len(self._open) >= self._limit or organization_id in self._open:
                raise StreamsBusyError(
                    "Too many streams are open here. Poll, or try again shortly."
                )
            self._open.add(organization_id)
        return _Slot(self, organization_id)

    def give_back(self, organization_id: UUID) -> None:
        """Let others have the stream of an organization that has ended."""
        with self._lock:
            self._open.discard(organization_id)


class _Slot:
    """One open stream; given back once, whoever notices first that it has ended."""

    def __init__(self, streams: EventStreams, organization_id: UUID) -> None:
        self._streams: EventStreams | None = streams
        self._organization_id = organization_id

    def give_back(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams.give_back(self._organization_id)


def _parts(first: Event, look: Callable[[], Event], slot: _Slot) -> Iterator[str]:
    try:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        yield from _told(first, look)
    except (TenancyError, NotFoundError) as error:
        # It is gone, or the database is: who connects again gets that as an answer.
        log.info("stream_broken_off", reason=type(error).__name__)
    finally:
        slot.give_back()


def _told(event: Event, look: Callable[[], Event]) -> Iterator[str]:
    end = time.monotonic() + LONGEST_SECONDS
    yield str(event)
    written = time.monotonic()
    while not event.is_last and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        found = look()
        if found.id != event.id:
            yield str(found)
        elif time.monotonic() - written >= KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
        else:
            continue
        event, written = found, time.monotonic()
