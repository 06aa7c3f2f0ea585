"""Which `Host` headers are answered: a page on the web must not read a catalog through a name of its own that leads to
this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
"""An address of IPv6 in brackets, or a name or another address; and a port. Nothing before, between or behind them."""


def host_allowed(header: str, names: Collection[str]) -> bool:
    """Whether a `Host` header is one of `names`, or an address: names can be made to lead anywhere, addresses cannot.

    Args:
        names: in small letters.

    >>> [host_allowed(host, ["localhost"]) for host in ("127.0.0.1:8760", "[::1]:8760", "LOCALHOST", "localhost:1")]
    [True, True, True, True]
    >>> [host_allowed(host, ["localhost"]) for host in ("", "localhost.evil.com", "localhost.", "me@localhost",
    ...     "[::1].evil.com", "[localhost]", "localhost:1:2", "localhost:99999", "[::1", "127.0.0.1.evil.com", "::1")]
    [False, False, False, False, False, False, False, False, False, False, False]
    """
    found = _HOST.fullmatch(header)
    if found is None or int(found[3] or 0) > 65_535:
        return False
    if found[1] is None and found[2].lower() in names:
        return True
    try:
        return ipaddress.ip_address(found[1] or found[2]).version == (4 if found[1] is None else 6)
    except ValueError:
        return False
