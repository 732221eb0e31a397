"""Streams of server-sent events: what is written when, and that they leave threads for others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Response

from lms.core.errors import NotFoundError
from lms.http import event_streams
from lms.http.event_streams import Event, EventStreams, StreamsBusyError
from tenants.errors import DatabaseUnavailableError

RETRY = "retry: 2000\n\n"
KEEP_ALIVE = ": still here\n\n"

ACME, GLOBEX = UUID(int=1), UUID(int=2)


class Time:
    """A clock on which sleeping takes no time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(event_streams, "time", made)
    return made


def event(percent: int) -> Event:
    last = percent == 100
    return Event(str(percent), "ended" if last else "progress", f'{{"p":{percent}}}', is_last=last)


def looking(*percents: int) -> Callable[[], Event]:
    """Find each of these in turn."""
    left = iter(percents)
    return lambda: event(next(left))


def texts(response: Response) -> Iterator[str]:
    return (part.decode() for part in response.iter_encoded())


def test_the_present_state_is_told_at_once_then_changes_and_it_ends_with_the_last() -> None:
    answer = EventStreams().follow(looking(10, 10, 20, 100), organization_id=ACME, last_seen=None)
    assert answer.mimetype == "text/event-stream"
    assert list(texts(answer)) == [
        RETRY,
        'id: 10\nevent: progress\ndata: {"p":10}\n\n',
        'id: 20\nevent: progress\ndata: {"p":20}\n\n',
        'id: 100\nevent: ended\ndata: {"p":100}\n\n',
    ]


def test_a_silent_stream_is_kept_alive_by_comments_and_ends_after_two_minutes(
    clock: Time,
) -> None:
    parts = list(
        texts(EventStreams().follow(lambda: event(10), organization_id=ACME, last_seen=None))
    )
    assert parts == [RETRY, str(event(10)), *[KEEP_ALIVE] * 24]
    assert clock.seconds == event_streams.LONGEST_SECONDS


@pytest.mark.parametrize("last_seen", ["10", "nonsense", "", "\x00", "99999999999999999999"])
def test_what_a_client_says_to_have_seen_of_a_running_thing_changes_nothing(
    last_seen: str,
) -> None:
    answer = EventStreams().follow(looking(10, 100), organization_id=ACME, last_seen=last_seen)
    assert list(texts(answer)) == [RETRY, str(event(10)), str(event(100))]


def test_who_has_seen_the_end_is_told_to_stop_connecting() -> None:
    assert (
        EventStreams().follow(looking(100), organization_id=ACME, last_seen="100").status_code
        == 204
    )
    assert (
        EventStreams().follow(looking(100), organization_id=ACME, last_seen="20").status_code == 200
    )


def test_beyond_the_limit_a_stream_is_refused_until_another_ends() -> None:
    streams = EventStreams(limit=1)
    first = streams.follow(looking(10, 100), organization_id=ACME, last_seen=None)
    with pytest.raises(StreamsBusyError):
        streams.follow(looking(10), organization_id=ACME, last_seen=None)
    list(texts(first))
    assert streams.follow(looking(10), organization_id=ACME, last_seen=None).status_code == 200


def test_an_organization_has_one_stream_and_leaves_the_others_to_others() -> None:
    streams = EventStreams(limit=2)
    streams.follow(looking(10), organization_id=ACME, last_seen=None)
    with pytest.raises(StreamsBusyError):
        streams.follow(looking(10), organization_id=ACME, last_seen=None)
    answer = streams.follow(looking(10), organization_id=GLOBEX, last_seen=None)
    assert answer.status_code == 200


def test_a_client_that_leaves_frees_its_stream_also_before_anything_was_written() -> None:
    streams = EventStreams(limit=1)
    begun = streams.follow(looking(10, 20), organization_id=ACME, last_seen=None)
    next(texts(begun))
    begun.close()
    streams.follow(looking(10), organization_id=ACME, last_seen=None).close()
    assert streams.follow(looking(10), organization_id=ACME, last_seen=None).status_code == 200


def test_a_stream_that_ended_is_given_back_once() -> None:
    streams = EventStreams(limit=1)
    ended = streams.follow(looking(100), organization_id=ACME, last_seen=None)
    list(texts(ended))
    ended.close()
    streams.follow(looking(10), organization_id=ACME, last_seen=None)
    with pytest.raises(StreamsBusyError):
        streams.follow(looking(10), organization_id=ACME, last_seen=None)


def test_a_refusal_is_an_answer_and_takes_no_stream() -> None:
    streams = EventStreams(limit=1)

    def refuse() -> Event:
        raise NotFoundError("There is nothing.")

    for _ in range(2):
        with pytest.raises(NotFoundError):
            streams.follow(refuse, organization_id=ACME, last_seen=None)


@pytest.mark.parametrize("error", [NotFoundError("Gone."), DatabaseUnavailableError("Away.")])
def test_a_stream_of_what_goes_away_just_ends(error: Exception) -> None:
    found: list[Any] = [event(10), error]

    def look() -> Event:
        one = found.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    answer = EventStreams().follow(look, organization_id=ACME, last_seen=None)
    assert list(texts(answer)) == [RETRY, str(event(10))]
