"""Which addresses other machines can reach."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address, such as `tcp://127.0.0.1:8786`."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Another name may mean anything by now.
        return host == "localhost"


def is_safe(address: str, *, is_insecure: bool) -> bool:
    """Whether orc may connect: with TLS, on this machine, or if the user says so."""
    return address.startswith("tls://") or is_loopback(address) or is_insecure
