"""Requests that come again under their key."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.lms.checkout.money_machine.machine import Machine
from tests.lms.checkout.money_machine.things import Expected, Request

REUSED = Expected(422, "idempotency_key_reused")


class RepeatRules(Machine):
    """Replays, keys that come with something else, and answers that were lost."""

    def resumable(self) -> list[Request]:
        return [request for request in self.requests if request.resume is not None]

    def changeable(self) -> list[Request]:
        return [request for request in self.requests if request.other_body is not None]

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.requests))
        answer = self.academy.post(request.path, request.person, request.body, key=request.key)
        self.compare(f"{request.what} again", answer, request.expected)
        is_replayed = answer.headers.get("Idempotency-Replayed") == "true"
        if not is_replayed or answer.data != request.answer:
            raise AssertionError(f"{answer.text} is no repetition of {request.answer!r}")

    @precondition(lambda self: self.changeable())
    @rule(data=st.data())
    def reuse_key(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.changeable()))
        body = request.other_body
        answer = self.academy.post(request.path, request.person, body, key=request.key)
        self.compare("another request with the key", answer, REUSED)

    @precondition(lambda self: self.resumable())
    @rule(data=st.data())
    def lose_answer_and_repeat(self, data: st.DataObject) -> None:
        """A crash before the answer was stored: the repetition goes on where the request was."""
        request = data.draw(st.sampled_from(self.resumable()))
        assert request.resume is not None
        self.academy.forget_answer(request.key)
        request.expected = request.resume()
        answer = self.academy.post(request.path, request.person, request.body, key=request.key)
        self.compare(f"{request.what}, resumed", answer, request.expected)
        request.answer = answer.data
