"""Every error that rcfs raises on purpose: one hierarchy, with its exit code and whether a retry may help.

    RcfsError                       1   a fault of rcfs itself
    ├── ConfigError                 2   an option, environment variable or config file is wrong
    ├── MountError                  4   the mount point cannot be used, or is not mounted
    ├── FuseUnavailableError        5   FUSE is missing, or not permitted
    ├── StoreError                  6   the cache or state directory cannot be used
    │   └── NoRoomError             6   neither the disk nor memory has room for a content
    ├── SharedLedgerError           7   the server of the shared quota ledger cannot be used now; retryable
    │   └── LedgerRefusedError      3   it refuses the user or the password, or a permission is missing
    ├── PlatformError               7   the RingCentral server refused, failed or could not be reached
    │   ├── AuthError               3   credentials refused
    │   │   └── GrantError          3   the JWT, the code or the refresh token is not, or no longer, good
    │   ├── ForbiddenError          3   logged in, but this is not permitted (CMN-401, CMN-408, CMN-419)
    │   ├── NotFoundError           7   no such message, attachment, extension
    │   ├── PurgedError             7   the platform has purged the content, and the cache does not have it
    │   ├── BadRequestError         7   400 and other refusals that no retry changes
    │   ├── RateLimitedError        7   429; retryable
    │   ├── TooLargeError           7   a content is larger than the limit (--max-content)
    │   ├── ServerError             7   5xx, or an answer that breaks the protocol; retryable
    │   ├── UncertainError          7   a change was sent, and no usable answer tells whether it was made
    │   ├── NotReadyError           7   MSG-368, the fax is still being processed; retryable
    │   ├── TransportError          7   reset, time-out; retryable
    │   │   ├── UnreachableError    7   no connection could be made, so nothing was sent; retryable
    │   │   │   ├── UntrustedError  7   TLS failed: the certificate, its dates, the host name, the version
    │   │   │   └── ProxyError      7   the proxy refuses, or requires a login
    │   │   └── SilentError         7   the server accepts connections and answers nothing; retryable
    │   └── OfflineError            7   it needs the server, but --offline is set
    ├── PartialError                8   some items failed; all others are done
    ├── UndecidedError              9   a message was sent, or not: a person must look
    ├── FileError                   1   the file system cannot do this with the entry
    │   ├── ReadOnlyError               the entry cannot be changed, or none can be made here
    │   ├── NotPermittedError           nobody may do this, or only with an option that is not given
    │   ├── NotEmptyError               the directory is not empty
    │   ├── BusyError                   the entry is in use, so it cannot be changed now
    │   ├── ExistsError                 an entry with that name exists
    │   ├── InvalidNameError            no entry here can have that name
    │   │   └── NameTooLongError        it is longer than names may be
    │   ├── WrongKindError              the entry is not of the kind for this: no file, no link
    │   │   └── NoDirectoryError        it is not a directory
    │   ├── UnsupportedError            its bytes are encrypted, or packed in a way that rcfs does not know
    │   ├── DamagedError                its bytes are not those that they should be
    │   └── StaleError                  the entry that was looked up or opened no longer exists
    └── WaitError                   1   a wait inside the mount ended without its result
        ├── DeadlineError               its deadline passed
        ├── BudgetError                 no budget, or too many waiters; refused at once
        ├── CallerGoneError             the waiting process has a fatal signal pending
        ├── SuspendError                the machine is about to be suspended
        └── ClosingError                the mount is ending

The exit codes are published as a table in the README. Code distinguishes errors by class, never by their
text.
"""

import re
import shlex
import sys
from typing import ClassVar


class RcfsError(Exception):
    """Base of all errors that rcfs raises on purpose; its text is one line, meant for a person."""

    exit_code: ClassVar[int] = 1
    """The exit code of a command that this error ends."""
    retryable: ClassVar[bool] = False
    """Whether the same attempt may succeed later, with nothing changed."""


class ConfigError(RcfsError):
    """An option, an environment variable or the config file is wrong; the text names which."""

    exit_code = 2


class MountError(RcfsError):
    """The mount point is missing, busy, not empty, or not a mount of rcfs."""

    exit_code = 4


class FuseUnavailableError(RcfsError):
    """The kernel's FUSE device or fusermount3 is missing or not permitted."""

    exit_code = 5


class StoreError(RcfsError):
    """The cache or state directory cannot be created, opened or written."""

    exit_code = 6


class NoRoomError(StoreError):
    """No room: in the cache, on the disk of the cache or the state directory, or in memory."""


class SharedLedgerError(RcfsError):
    """The server that keeps the shared quota ledger cannot be reached, is too slow, or fails."""

    exit_code = 7
    retryable = True


class LedgerRefusedError(SharedLedgerError):
    """That server refuses the user or the password, or does not permit what rcfs needs."""

    exit_code = 3
    retryable = False


class PlatformError(RcfsError):
    """The server refused, failed or could not be reached.

    Attributes:
        code: The API's error code such as ``CMN-419``; empty when the answer had none.
        request_id: The ``RCRequestId`` header of the answer, for a support case; empty when absent.
    """

    exit_code = 7

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class AuthError(PlatformError):
    """The credentials or the token were refused (401, or 400 from the token endpoint)."""

    exit_code = 3


class GrantError(AuthError):
    """The token endpoint refused what stands for the user: a JWT, a code or a refresh token (400)."""


class ForbiddenError(PlatformError):
    """The login is good, but app scope, user permission or extension is not (403)."""

    exit_code = 3


class NotFoundError(PlatformError):
    """The server knows no such resource (404), or the tree has nothing of that name."""


class PurgedError(PlatformError):
    """The platform has purged the content, and the cache does not have it."""


class BadRequestError(PlatformError):
    """The server refused the request permanently (400, 416 and other 4xx)."""


class TooLargeError(PlatformError):
    """A content is larger than the limit (``--max-content``), or does not end."""


class RateLimitedError(PlatformError):
    """The server answered 429."""

    retryable = True


class ServerError(PlatformError):
    """The server failed (5xx), or its answer breaks the protocol.

    Attributes:
        retry_after_s: Seconds of the ``Retry-After`` header; None when absent.
    """

    retryable = True

    def __init__(
        self, message: str, *, code: str = "", request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after_s = retry_after_s


class NotReadyError(PlatformError):
    """The content exists, but the platform is still processing it (MSG-368)."""

    retryable = True


class TransportError(PlatformError):
    """The connection failed before the answer was complete."""

    retryable = True


class UnreachableError(TransportError):
    """No connection to the server could be made: the request was not sent."""

    lasting: ClassVar[bool] = False
    """Whether the cause stays until somebody mends it, so that an early retry is useless."""


class UntrustedError(UnreachableError):
    """rcfs refused the server's certificate or TLS version, and sent nothing, not even a token."""

    lasting = True


class ProxyError(UnreachableError):
    """The proxy refuses the connection, or requires a login."""

    lasting = True


class SilentError(TransportError):
    """The server accepts connections and requests, and answers nothing, not even a probe."""


class UncertainError(PlatformError):
    """A request that must not be repeated got no usable answer, so the server may have carried it out."""


class OfflineError(PlatformError):
    """The operation needs the server, but ``--offline`` is set."""


class PartialError(RcfsError):
    """Some items of a command failed; all others are done."""

    exit_code = 8


class UndecidedError(RcfsError):
    """The answer to a message is lost, and rcfs cannot find out whether it was sent; a person decides."""

    exit_code = 9


class FileError(RcfsError):
    """The file system cannot do this with the entry."""


class ReadOnlyError(FileError):
    """The entry cannot be changed, or no entry can be made here."""


class NotPermittedError(FileError):
    """Nobody may do this with the entry, or only with an option that is not given."""


class NotEmptyError(FileError):
    """The directory is not empty."""


class BusyError(FileError):
    """The entry is in use, and cannot be changed now."""


class ExistsError(FileError):
    """An entry with that name exists already."""


class InvalidNameError(FileError):
    """No entry that can be made here can have that name."""


class NameTooLongError(InvalidNameError):
    """The name is longer than names may be."""


class WrongKindError(FileError):
    """The entry is not of the kind for this operation: no file, no link."""


class NoDirectoryError(WrongKindError):
    """The entry is not a directory, and only directories have entries."""


class UnsupportedError(FileError):
    """The bytes of the entry are encrypted, or packed in a way that rcfs does not know."""


class DamagedError(FileError):
    """The bytes of the entry are not those that they should be, and no attempt makes them so."""


class StaleError(FileError):
    """The entry that was looked up or opened no longer exists; look up the name again."""


class WaitError(RcfsError):
    """A wait inside the mount ended without its result."""


class DeadlineError(WaitError):
    """The deadline of the wait passed."""

    retryable = True


class BudgetError(WaitError):
    """The caller gets no budget, or too many others wait already."""

    retryable = True


class CallerGoneError(WaitError):
    """The process for which rcfs waits has a fatal signal pending."""


class SuspendError(WaitError):
    """The machine is about to be suspended, and no process may wait in the kernel then."""

    retryable = True


class ClosingError(WaitError):
    """The mount is ending, and ends all waits."""


def sole_cause(error: BaseException) -> BaseException:
    """The one error in nested groups of one, which trio makes of errors that leave a nursery."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def install_command(extra: str) -> str:
    """The command that adds the packages of an extra to the environment in which rcfs runs.

    It names them, because rcfs itself may have come from a file. uv makes environments without pip.
    """
    import importlib.util  # noqa: PLC0415 - these take 20 ms, and only an error needs them
    from importlib.metadata import requires  # noqa: PLC0415

    marker = re.compile(rf"""extra == ['"]{extra}['"]""")
    packages = [each.partition(";")[0].strip() for each in requires("rcfs") or () if marker.search(each)]
    if importlib.util.find_spec("pip") is None:
        return shlex.join(["uv", "pip", "install", "--python", sys.executable, *packages])
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])
