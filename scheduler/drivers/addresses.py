"""The address of an engine: where it stands, and whether other machines can reach it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orc.scheduler.drivers.lines import Refused


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address, such as `tcp://127.0.0.1:8786`."""
    return is_loopback_host(urlsplit(address).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether only this machine can reach what listens at that name or number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Another name may mean anything by now.
        return host == "localhost"


def is_safe(address: str, *, is_insecure: bool) -> bool:
    """Whether orc may connect: with TLS, on this machine, or if the user says so."""
    return address.startswith("tls://") or is_loopback(address) or is_insecure


def address_of(site: Mapping[str, Any]) -> str:
    """The address of the scheduler that a site file names. Raises Refused."""
    if site.get("address"):
        return str(site["address"])
    path = Path(str(site["scheduler_file"]))
    try:
        return str(json.loads(path.read_text("utf-8"))["address"])
    except OSError as error:
        raise Refused(
            "unreachable",
            f"the scheduler file cannot be read: {error.strerror}; is the scheduler running?",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            "unreachable",
            "the scheduler file has no address of a scheduler; is its path in the site file right?",
        ) from error


def refuse_plain(address: str, *, is_insecure: bool) -> None:
    """Raise Refused for an address on which others can hear and speak, unless that is wanted."""
    if is_safe(address, is_insecure=is_insecure):
        return
    raise Refused(
        "insecure",
        "the scheduler's address is not on this machine and has no TLS: whoever can reach it runs "
        "commands as you; make certificates (`orc cluster certs`) and use tls://, or say "
        "`insecure: true` in the site file",
    )


def refuse_mixed(address: str, *, has_tls: bool) -> None:
    """Raise Refused if only one of the address and the site file has TLS."""
    if address.startswith("tls://") and not has_tls:
        raise Refused(
            "tls",
            "the scheduler speaks TLS only; name ca, cert and key under `tls` in the site file",
        )
    if not address.startswith("tls://") and has_tls:
        raise Refused(
            "tls",
            "the site file has `tls`, and the scheduler speaks without it; start it with "
            "`orc cluster scheduler`",
        )
