"""The CA certificates that rcfs trusts, and the messages about servers that it does not trust.

The certificates are the system's, as for curl and git: those in OpenSSL's default locations, which the
variables SSL_CERT_FILE and SSL_CERT_DIR change. Where no such files exist, as in a small
container, rcfs uses certifi's. The package truststore does the same on Linux, but ignores a variable that
names a missing file.
"""

import os
import ssl
import time
from pathlib import Path

import certifi

from rcfs.errors import UnreachableError, UntrustedError

_FILE, _FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"
_EXPIRED, _NOT_YET = 10, 9
_WRONG_NAME = (62, 64)
"""X509_V_ERR_* of OpenSSL: see x509_vfy.h. All other codes concern the signer."""
_OLD_TLS = (
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "WRONG_SSL_VERSION",
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_BROKEN = ("UNEXPECTED_EOF_WHILE_READING",)
"""Reasons of ssl.SSLError; the last means that the connection ended, which has nothing to do with trust."""


def trusting_context() -> ssl.SSLContext:
    """A TLS context for connections to servers; reading all certificates may take 40 ms.

    Raises:
        UntrustedError: The certificates that the environment names cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    read_certificates(context)
    return context


def read_certificates(context: ssl.SSLContext) -> None:
    """Adds the system's present CA certificates to those that `context` trusts.

    Raises:
        UntrustedError: The certificates that the environment names cannot be read.
    """
    usual = ssl.get_default_verify_paths()
    named_file, named_folders = os.environ.get(_FILE), os.environ.get(_FOLDERS)
    file = named_file or (usual.openssl_cafile if Path(usual.openssl_cafile).is_file() else None)
    folders = (named_folders or usual.openssl_capath).split(os.pathsep)
    variable = _FILE
    try:
        if file:
            context.load_verify_locations(cafile=file)
        variable = _FOLDERS
        for folder in filter(None, folders):
            if named_folders or Path(folder).is_dir():
                os.scandir(folder).close()
                context.load_verify_locations(capath=folder)
    except OSError as exc:  # ssl.SSLError is one: the file holds no certificate
        reason = "it holds no certificate" if isinstance(exc, ssl.SSLError) else exc.strerror
        raise UntrustedError(f"the certificates that {variable} names cannot be read: {reason}") from exc
    if not file and not any(_has_certificates(Path(folder)) for folder in filter(None, folders)):
        context.load_verify_locations(cafile=certifi.where())


def _has_certificates(folder: Path) -> bool:
    """Whether `folder` has certificates under the names, digests, by which OpenSSL finds them."""
    return next(folder.glob("????????.[0-9]"), None) is not None


def tls_error(host: str, error: BaseException) -> UnreachableError | None:
    """The TLS failure that, as `error`, prevented a connection to `host`; None for other causes."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or cause.reason in _BROKEN or isinstance(cause, ssl.SSLEOFError):
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return UntrustedError(_of_certificate(host, cause))
    if cause.reason in _OLD_TLS:
        return UntrustedError(
            f"{host} offers no safe version of TLS; set up TLS 1.2 or newer on the server, or on the"
            " proxy that inspects TLS"
        )
    if cause.reason in _NO_TLS:
        return UntrustedError(f"{host} does not speak TLS; check the server's URL and port")
    return UntrustedError(f"TLS with {host} failed ({cause.reason or 'no reason given'})")


def _of_certificate(host: str, error: ssl.SSLCertVerificationError) -> str:
    code, words = error.verify_code, error.verify_message
    if code in (_EXPIRED, _NOT_YET):
        clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        what = "has expired" if code == _EXPIRED else "is not yet valid"
        return (
            f"the certificate of {host} {what}, or this machine's clock, which says {clock}, is wrong; set"
            " the clock if it is wrong, for example with timedatectl set-ntp true"
        )
    if code in _WRONG_NAME:
        return (
            f"the certificate that came from {host} is for another host ({words}); check the server's URL,"
            " and whether the network wants you to sign in first"
        )
    return (
        f"the certificate of {host} is not signed by an authority that this machine trusts ({words});"
        " if your company's proxy inspects TLS, add its CA certificate to those of the system"
        " (update-ca-certificates), or name it in SSL_CERT_FILE"
    )
