"""Which `Host` headers are answered: a page on the web must not read a catalog through a name of its own that leads to
this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


def host_allowed(header: str, names: Collection[str]) -> bool:
    """Whether a `Host` header is one of `names`, or an address: names can be made to lead anywhere, addresses cannot.

    >>> host_allowed("127.0.0.1:8760", []), host_allowed("[::1]:8760", []), host_allowed("localhost", ["localhost"])
    (True, True, True)
    >>> host_allowed("evil.example", ["localhost"]), host_allowed("", ["localhost"])
    (False, False)
    """
    host = header.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    if host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
