"""Translates the errors of redis-py into one line that says what to do."""

import re
import ssl
from collections.abc import Sequence
from typing import Final

from rcfs.errors import LedgerRefusedError, SharedLedgerError
from rcfs.model import LedgerAddress

COMMAND_WITHIN_S: Final = 1.0
"""Longest wait for an answer, in seconds: a server on another continent answers in a third of that."""

_REFUSES: Final = "refuses the login; check the user in [quota] ledger, and its password"
_FORBIDS: Final = (
    "does not permit what rcfs needs; give the user the rights ~{rcfs:* &{rcfs:* +@all -@dangerous +info"
)
_READ_ONLY: Final = "is a read-only replica; name its primary in [quota] ledger"
_MOVES: Final = "moves rcfs's keys to another node of its cluster; rcfs tries again"
_FULL: Final = "has no memory left; raise its maxmemory"
_WITHIN_SCRIPT: Final = re.compile(r"^Error running script \(call to \w+\): (@user_script: ?\d+: )+-?")
"""The words that Redis before version 7 puts before the error of a command within a script."""
_ANSWERS: Final[Sequence[tuple[str, type[SharedLedgerError], str]]] = (
    ("The user executing the script can't", LedgerRefusedError, _FORBIDS),
    ("ACL failure in script", LedgerRefusedError, _FORBIDS),
    ("READONLY", SharedLedgerError, _READ_ONLY),
    ("OOM", SharedLedgerError, _FULL),
    ("MISCONF", SharedLedgerError, "cannot write to its disk; see the server's log"),
    ("NOREPLICAS", SharedLedgerError, "has not the replicas that its min-replicas-to-write demands"),
    ("WRONGTYPE", SharedLedgerError, "has other values under rcfs's keys; choose another database for rcfs"),
    ("Write commands not allowed", SharedLedgerError, "is too old; rcfs needs Redis 5 or newer, or Valkey"),
)
"""The beginnings of answers for which redis-py has no class."""
_EXPIRED, _NOT_YET, _OTHER_NAMES = 10, 9, (62, 64)
"""X509_V_ERR_* of OpenSSL: see x509_vfy.h. All other codes concern the signer."""


def translated(address: LedgerAddress, error: Exception) -> Exception:
    """The error of rcfs that tells of `error` of redis-py; `error` itself if it is another one."""
    import redis.exceptions as errors

    kinds: Sequence[tuple[type[Exception], type[SharedLedgerError], str]] = (
        (errors.AuthenticationError, LedgerRefusedError, _REFUSES),
        (errors.AuthenticationWrongNumberOfArgsError, LedgerRefusedError, _REFUSES),
        (errors.NoPermissionError, LedgerRefusedError, _FORBIDS),
        (errors.ReadOnlyError, SharedLedgerError, _READ_ONLY),
        (errors.AskError, SharedLedgerError, _MOVES),
        (errors.TryAgainError, SharedLedgerError, _MOVES),
        (errors.OutOfMemoryError, SharedLedgerError, _FULL),
        (errors.BusyLoadingError, SharedLedgerError, "is still loading its data"),
        (errors.TimeoutError, SharedLedgerError, f"does not answer within {COMMAND_WITHIN_S:.0f} s"),
        (errors.ConnectionError, SharedLedgerError, _of_tls(error) or "cannot be reached"),
        (errors.ResponseError, *_of_answer(str(error))),
        (errors.RedisError, SharedLedgerError, f"fails ({str(error)[:80]})"),
        (OSError, SharedLedgerError, "cannot be reached"),
        (ValueError, SharedLedgerError, "answers something else than rcfs asked for"),
        (TypeError, SharedLedgerError, "answers something else than rcfs asked for"),
    )
    for kind, made, words in kinds:
        if isinstance(error, kind):
            return made(f"the ledger server {address} {words}")
    return error


def _of_answer(text: str) -> tuple[type[SharedLedgerError], str]:
    """The meaning of an answer for which redis-py has no class."""
    text = _WITHIN_SCRIPT.sub("", text)
    for start, made, words in _ANSWERS:
        if text.startswith(start):
            return made, words
    return SharedLedgerError, f"fails ({text[:80]})"


def _of_tls(error: BaseException | None) -> str:
    """Why TLS failed, if that is the cause of `error`; empty for other causes."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_EXPIRED, _NOT_YET):
            what = "has expired" if error.verify_code == _EXPIRED else "is not yet valid"
            return f"has a certificate that {what}, or this machine's clock is wrong"
        if error.verify_code in _OTHER_NAMES:
            return "has a certificate for another host; name it in [quota] ledger as the certificate does"
        return (
            "has a certificate of an authority that this machine does not trust; name the authority's"
            " certificate as ca_file under [quota]"
        )
    if error is None:
        return ""
    return f"cannot be reached with TLS ({error.reason or 'the connection ended'}); see the server's log"
