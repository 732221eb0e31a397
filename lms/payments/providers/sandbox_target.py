"""Where the sandbox server can report: this machine only."""

from __future__ import annotations

import ipaddress

import httpx


def local_target(url: str) -> tuple[httpx.URL, str]:
    """Where to connect for a webhook, and what to call the host.

    The sandbox reaches this machine only. Plain resolvers do not know names under `localhost`
    (RFC 6761, section 6.3, gives them the loopback address), so these are never looked up.

    Args:
        url: The receiver's address.

    Returns:
        The address with an IP address as its host, and the value of the Host header.

    Raises:
        ValueError: It is not plain http to a loopback address or a name under `localhost`.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError("not an address") from error
    if parsed.scheme != "http" or parsed.userinfo:
        raise ValueError("only plain http without a user name")
    if parsed.host == "localhost" or parsed.host.endswith(".localhost"):
        return parsed.copy_with(host="127.0.0.1"), parsed.netloc.decode("ascii")
    if not ipaddress.ip_address(parsed.host).is_loopback:
        raise ValueError("not a loopback address")
    return parsed, parsed.netloc.decode("ascii")
