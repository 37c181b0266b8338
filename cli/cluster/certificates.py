"""Makes the certificates of a cluster: an authority, and one certificate with its key for all.

Anyone who has the key belongs to the cluster: scheduler, workers and orc show the same certificate. The
authority's own key is not kept, so that nobody can add to the circle; a new set replaces all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from orc.about import install_command
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.ledger.files.temporary import sweep, workplace

VALID_DAYS = 365
NAMES = ("ca.pem", "cert.pem", "key.pem")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Certificates(Struct, frozen=True):
    """The files that were made, and when the certificate ends."""

    ca: Path
    cert: Path
    key: Path
    ends: datetime


def write_certificates(folder: Path, *, now: datetime | None = None) -> Certificates:
    """Make the three files in a folder, which is created. Each is readable by its owner only.

    Raises UsageProblem if the folder has something in it, EnvironmentProblem without cryptography.
    """
    begins = now or datetime.now(UTC)
    ends = begins + timedelta(days=VALID_DAYS)
    contents = _make(begins, ends)
    try:
        _write_folder(folder, dict(zip(NAMES, contents, strict=True)))
    except OSError as error:
        raise UsageProblem(
            f"cannot make the folder {folder}: {error.strerror}; a cluster needs all three files anew, "
            "so name a folder that does not exist or is empty"
        ) from error
    ca, cert, key = (folder / name for name in NAMES)
    return Certificates(ca, cert, key, ends)


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Make the folder with its files at once, so that it never has some of them."""
    target = folder.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, [target.name])
    with workplace(target) as place:
        unfinished = place / "unfinished"
        unfinished.mkdir(mode=0o700)
        for name, content in contents.items():
            with open(os.open(unfinished / name, _NEW, 0o600), "wb") as file:
                file.write(content)
        # It replaces an empty folder, and nothing else.
        os.rename(unfinished, folder)


def _make(begins: datetime, ends: datetime) -> tuple[bytes, bytes, bytes]:
    """The authority's certificate, the certificate for all, and its key, as PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID
    except ImportError as error:
        raise EnvironmentProblem(
            f"certificates need the package cryptography; install it with {install_command('dask')}"
        ) from error
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "orc cluster authority")]
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orc cluster")])
    no_use = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    signs = x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **no_use)
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        x509.CertificateBuilder()
        .subject_name(authority_name)
        .issuer_name(authority_name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    shows = x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **no_use)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(shows, critical=True)
        .add_extension(both, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return (
        authority.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
