"""From a request's host to an organization's id, remembered for a while per process.

Only the id is remembered: the state is checked anew at the beginning of every transaction, so a
suspension bites at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from uuid import UUID

from tenants.errors import OrganizationNotFoundError
from tenants.session import Database

RESERVED_SLUGS = frozenset(
    (
        *("admin", "api", "www", "app", "mail", "smtp", "imap", "ftp", "static", "assets", "cdn"),
        *("files", "media", "status", "docs", "help", "support", "billing", "platform", "login"),
        *("auth", "sso", "account", "localhost", "internal", "test", "staging", "demo"),
    )
)
"""Hosts below the base domain that no organization can have."""


LONGEST_UNKNOWN_S = 5.0
"""A host that nobody has may be somebody's in a moment."""


class HostResolver:
    """Resolves hosts under a base domain, and verified custom domains.

    Args:
        database: where hosts are looked up.
        base_domain: the domain below which organizations live, without a port.
        ttl: seconds for which an answer is remembered; that nobody has a host, for five at most.
        capacity: most answers remembered; unknown hosts count too, so a scan of random names
            cannot fill the memory.
    """

    def __init__(
        self, database: Database, base_domain: str, *, ttl: float = 60.0, capacity: int = 10_000
    ) -> None:
        self._database = database
        self._suffix = "." + base_domain.lower()
        self._ttl = ttl
        self._capacity = capacity
        self._known: OrderedDict[str, tuple[float, UUID | None]] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, host: str) -> UUID:
        """Return the organization that a host belongs to.

        Args:
            host: as the client sent it, without a port, lower case.

        Raises:
            OrganizationNotFoundError: nobody has this host.
        """
        now = time.monotonic()
        with self._lock:
            known = self._known.get(host)
        if known is None or known[0] < now:
            found = self._look_up(host)
            ttl = self._ttl if found else min(self._ttl, LONGEST_UNKNOWN_S)
            known = (now + ttl, found)
            with self._lock:
                self._known[host] = known
                self._known.move_to_end(host)
                while len(self._known) > self._capacity:
                    self._known.popitem(last=False)
        if known[1] is None:
            raise OrganizationNotFoundError(host)
        return known[1]

    def _look_up(self, host: str) -> UUID | None:
        slug = host.removesuffix(self._suffix) if host.endswith(self._suffix) else None
        if slug is not None and (slug in RESERVED_SLUGS or "." in slug):
            return None
        return self._database.find_host(slug=slug, host=host)
