"""Certificates of the Dask cluster: one for each side, by an authority that is forgotten at once.

    python deployments/certificates.py make FOLDER            what is missing or runs out
    python deployments/certificates.py ask HOST:PORT FOLDER   a handshake, as a health check

Whoever holds a certificate can have a Dask worker run any code, so the authority's key is used
once and never written down: nobody can add to what is in the folder.
"""

import os
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY = "ca"
SIDES = ("scheduler", "worker", "client")
VALID = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=60)
TIMEOUT_S = 4


def main() -> int:
    """Make the certificates, or hold a handshake; the exit code tells whether it went."""
    if len(sys.argv) == 3 and sys.argv[1] == "make":
        print("made" if make(Path(sys.argv[2])) else "valid, left as they are", flush=True)
        return 0
    if len(sys.argv) == 4 and sys.argv[1] == "ask":
        print(ask(sys.argv[2], Path(sys.argv[3])), flush=True)
        return 0
    print(__doc__, file=sys.stderr)
    return 2


def make(folder: Path) -> bool:
    """Write `ca.pem` and, for each side, NAME.pem and NAME.key; tell whether that was needed.

    All of them are made anew where one is missing or has less than two months left.
    """
    names = [f"{side}.{ending}" for side in SIDES for ending in ("pem", "key")]
    is_there = all((folder / name).is_file() for name in (f"{AUTHORITY}.pem", *names))
    if is_there and _ends(folder / f"{AUTHORITY}.pem") - datetime.now(UTC) > RENEWED_BEFORE:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in _signed().items():
        path = folder / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
    return True


def ask(address: str, folder: Path) -> str:
    """Hold a handshake with a Dask server, both sides showing certificates; return its protocol.

    Raises OSError, of which ssl.SSLError is one, where nobody answers or trusts us.
    """
    context = ssl.create_default_context(cafile=str(folder / f"{AUTHORITY}.pem"))
    # names say which side somebody is, and Dask does not look at them either
    context.check_hostname = False
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as plain:
        with context.wrap_socket(plain) as encrypted:
            # in TLS 1.3 a refused certificate shows only when something is read
            encrypted.settimeout(TIMEOUT_S)
            encrypted.recv(1)
            return str(encrypted.version())


def _ends(path: Path) -> datetime:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _signed() -> dict[str, bytes]:
    """Return file name -> content of an authority and the three certificates that it signed."""
    authority = ec.generate_private_key(ec.SECP256R1())
    files = {f"{AUTHORITY}.pem": _certificate("authority", authority, authority)}
    for side in SIDES:
        key = ec.generate_private_key(ec.SECP256R1())
        files[f"{side}.pem"] = _certificate(side, key, authority)
        files[f"{side}.key"] = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return files


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey
) -> bytes:
    now, is_authority = datetime.now(UTC), key is authority
    issuer = authority.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # clocks of two machines may differ by some minutes
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), True)
        .add_extension(_usage(is_authority), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
    )
    signed = builder.sign(authority, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rancast {name}")])


if __name__ == "__main__":
    sys.exit(main())
