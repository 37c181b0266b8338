"""Opens a connection to the scheduler of dask.distributed, or says why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import distributed
from distributed import Client
from distributed.security import Security

from orc.scheduler.drivers.addresses import refuse_mixed, refuse_plain
from orc.scheduler.drivers.lines import Refused

CONNECT_S = 10.0
_ASK_S = 10.0
_NOT_PLAIN = (
    "what listens at the address of the scheduler does not answer without TLS; if it speaks TLS, "
    "use tls:// and name ca, cert and key under `tls` in the site file"
)
_SILENT = "the scheduler does not answer; is it running, and is the address right?"


async def connect(address: str, site: Mapping[str, Any]) -> tuple[Client, str]:
    """A client of the scheduler, and the name of the scheduler's process. Raises Refused."""
    tls = site.get("tls")
    refuse_plain(address, is_insecure=bool(site.get("insecure")))
    refuse_mixed(address, has_tls=bool(tls))
    await _probe(address)
    security = Security(
        require_encryption=bool(tls),
        **(
            {
                "tls_ca_file": tls["ca"],
                "tls_client_cert": tls["cert"],
                "tls_client_key": tls["key"],
            }
            if tls
            else {}
        ),
    )
    client = Client(
        address,
        asynchronous=True,
        set_as_default=False,
        direct_to_workers=False,
        security=security,
        timeout=CONNECT_S,
        name="orc",
    )
    try:
        await asyncio.wait_for(client, CONNECT_S + 1)
        seen = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), _ASK_S)
        versions = await asyncio.wait_for(client.scheduler.versions(), _ASK_S)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        await disconnect(client)
        raise Refused("unreachable", _reason(error, has_tls=bool(tls))) from error
    found = versions["packages"].get("distributed")
    if found != distributed.__version__:
        await disconnect(client)
        raise Refused(
            "versions",
            f"the scheduler has distributed {found}, and orc {distributed.__version__}; "
            "install the same version on all machines",
        )
    return client, str(seen["id"])


async def disconnect(client: Client) -> None:
    """End a connection, whatever the scheduler does."""
    with suppress(Exception):
        await asyncio.wait_for(client.close(timeout=1), 3)


async def _probe(address: str) -> None:
    """Fail at once where nobody listens: the client would try for as long as it may."""
    parts = urlsplit(address)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except (OSError, TimeoutError, ValueError) as error:
        raise Refused("unreachable", _SILENT) from error
    writer.close()


def _reason(error: BaseException, *, has_tls: bool) -> str:
    text = str(error.__cause__ or error) or type(error).__name__
    if "certificate" in text and "expired" in text:
        return (
            "the certificates of the cluster have ended; make new ones with `orc cluster certs`, copy "
            "them to all machines, and start the scheduler and the workers again"
        )
    if "CERTIFICATE" in text.upper() or "SSL" in text.upper():
        return "the scheduler refused the certificate, or has one of another authority"
    # Something has taken the connection before.
    return _SILENT if has_tls else _NOT_PLAIN
