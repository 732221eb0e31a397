"""Passwords: the policy, and argon2id in a form that tells an attacker nothing by its timing.

Hashing takes tens of milliseconds and 64 MiB by design (RFC 9106, 4: the second recommended
option), so it is never done inside a database transaction, and only as many run at once as there
are processors. Who waits for their turn too long is sent away, so that a flood of sign-ins leaves
threads for everybody else.
"""

from __future__ import annotations

import os
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from lms.users.errors import TooManySignInsError, WeakPasswordError

MIN_LENGTH = 12
MAX_LENGTH = 256
PATIENCE = 1.0
"""Seconds that one waits for a turn."""

_HASHER = PasswordHasher()
_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)


def check_policy(password: str, email: str) -> None:
    """Refuse a password that is too short, too long or the e-mail address.

    Length is what counts; there are no rules about kinds of characters (NIST SP 800-63B, 3.1.1.2).

    Raises:
        WeakPasswordError: with a message for the one who chose it.
    """
    text = _normalize(password)
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise WeakPasswordError(f"Use {MIN_LENGTH} to {MAX_LENGTH} characters.")
    if text.casefold() == email.casefold():
        raise WeakPasswordError("The password must not be the e-mail address.")


def hash_password(password: str) -> str:
    """Return the argon2id hash to store.

    Raises:
        TooManySignInsError: no turn within `PATIENCE`.
    """
    with _turn():
        return _HASHER.hash(_normalize(password))


def verify_password(password: str, hashed: str | None) -> bool:
    """Tell whether a password belongs to a stored hash.

    Args:
        password: as typed.
        hashed: None when there is no account or no password yet; the same work is done, against
            a hash that nothing matches.

    Raises:
        TooManySignInsError: no turn within `PATIENCE`.
    """
    with _turn():
        try:
            _HASHER.verify(_nobodys_hash() if hashed is None else hashed, _normalize(password))
        except (VerificationError, InvalidHashError):
            return False
    return hashed is not None


def needs_rehash(hashed: str) -> bool:
    """Tell whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(hashed)


@contextmanager
def _turn() -> Iterator[None]:
    if not _SLOTS.acquire(timeout=PATIENCE):
        raise TooManySignInsError
    try:
        yield
    finally:
        _SLOTS.release()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_hex(32))


def _normalize(password: str) -> str:
    # The same characters typed on another system may come composed differently.
    return unicodedata.normalize("NFKC", password)
