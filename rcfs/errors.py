"""Every error that rcfs raises on purpose: one hierarchy, with its exit code and whether a retry may help.

    RcfsError                       1   a fault of rcfs itself
    ├── ConfigError                 2   an option, environment variable or config file is wrong
    ├── MountError                  4   the mount point cannot be used, or is not mounted
    ├── FuseUnavailableError        5   FUSE is missing, or not permitted
    ├── StoreError                  6   the cache or state directory cannot be used
    │   └── NoRoomError             6   neither the disk nor memory has room for what is being read
    ├── PlatformError               7   the RingCentral server said no, or something else
    │   ├── AuthError               3   credentials refused
    │   ├── ForbiddenError          3   logged in, but this is not permitted (CMN-401, CMN-408, CMN-419)
    │   ├── NotFoundError           7   no such message, attachment, extension
    │   ├── PurgedError             7   the platform has purged it, and the cache never had it
    │   ├── BadRequestError         7   400 and other refusals that a repetition cannot change
    │   ├── RateLimitedError        7   429; retryable
    │   ├── TooLargeError           7   a content is larger than the largest that rcfs is to fetch
    │   ├── ServerError             7   5xx, or an answer that makes no sense; retryable
    │   ├── UncertainError          7   a change was sent and no usable answer came: done, or not
    │   ├── NotReadyError           7   MSG-368, the fax is still being processed; retryable
    │   ├── TransportError          7   reset, time-out; retryable
    │   │   ├── UnreachableError    7   no connection could be made, so nothing was sent; retryable
    │   │   │   ├── UntrustedError  7   TLS failed: the certificate, its dates, the host name, the version
    │   │   │   └── ProxyError      7   the proxy refuses, or wants a login
    │   │   └── SilentError         7   the server took the connection and answers nothing at all; retryable
    │   └── OfflineError            7   it would have to be asked for, and rcfs is to stay offline
    ├── PartialError                8   some of what was asked for could not be had; the rest is there
    ├── FileError                   1   the file system cannot do that with what is there
    │   ├── ReadOnlyError               nothing of that can be changed or made here
    │   ├── ExistsError                 there is something of that name already
    │   ├── InvalidNameError            no such thing can have that name
    │   │   └── NameTooLongError        because it is longer than names may be
    │   ├── WrongKindError              it is not of the kind for which that can be done
    │   │   └── NoDirectoryError        because it is no directory
    │   └── StaleError                  what was looked up or opened is not there any more
    └── WaitError                   1   a wait inside the mount ended without what was waited for
        ├── DeadlineError               its deadline passed
        ├── BudgetError                 no budget or no seat for this caller; refused at once
        ├── CallerGoneError             the process that waits is about to die
        ├── SuspendError                the machine is about to be suspended
        └── ClosingError                the mount is being taken down

The exit codes are published as a table in the README. Errors are told apart by class, never by their text.
"""

from typing import ClassVar


class RcfsError(Exception):
    """Base of all errors that rcfs raises on purpose; its text is one line, meant for a person."""

    exit_code: ClassVar[int] = 1
    """What the command line exits with when this error ends it."""
    retryable: ClassVar[bool] = False
    """Whether the same attempt may succeed later without anything being changed."""


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
    """Neither the cache, nor its disk, nor memory has room for a content that is being read."""


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


class ForbiddenError(PlatformError):
    """The login is good, but app scope, user permission or extension is not (403)."""

    exit_code = 3


class NotFoundError(PlatformError):
    """The server knows no such resource (404), or the tree has nothing of that name."""


class PurgedError(PlatformError):
    """The platform has purged the content, so that only the cache could have it, and it has not."""


class BadRequestError(PlatformError):
    """The server refused the request for good (400, 416 and other 4xx)."""


class TooLargeError(PlatformError):
    """A content is larger than rcfs is to fetch (``--max-content``), or has no end."""


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
    """The content exists but is still being made (MSG-368)."""

    retryable = True


class TransportError(PlatformError):
    """The connection failed before the answer was complete."""

    retryable = True


class UnreachableError(TransportError):
    """No connection to the server could be made: the request was not sent."""

    lasting: ClassVar[bool] = False
    """Whether it stays until somebody changes something, so that trying again soon is of no use."""


class UntrustedError(UnreachableError):
    """The server's certificate or TLS version was refused, so that nothing was sent, no token either."""

    lasting = True


class ProxyError(UnreachableError):
    """The proxy does not let rcfs through."""

    lasting = True


class SilentError(TransportError):
    """The server takes connections and requests, and answers nothing, not even a probe."""


class UncertainError(PlatformError):
    """A request that must not be sent twice got no usable answer, so what it asks for may have been done."""


class OfflineError(PlatformError):
    """The server would have to be asked, which is not wanted (``--offline``)."""


class PartialError(RcfsError):
    """Some of what was asked for could not be had; everything else was done."""

    exit_code = 8


class FileError(RcfsError):
    """The file system cannot do what was asked with what is there."""


class ReadOnlyError(FileError):
    """Nothing of that can be changed or made here."""


class ExistsError(FileError):
    """There is something of that name already."""


class InvalidNameError(FileError):
    """Nothing that could be made here can have that name."""


class NameTooLongError(InvalidNameError):
    """The name is longer than names may be."""


class WrongKindError(FileError):
    """It is not of the kind for which that can be done: no file, no link."""


class NoDirectoryError(WrongKindError):
    """It is no directory, and only directories have entries."""


class StaleError(FileError):
    """What was looked up or opened is not there any more; look up the name again."""


class WaitError(RcfsError):
    """A wait inside the mount ended without what was waited for."""


class DeadlineError(WaitError):
    """The deadline of the wait passed."""

    retryable = True


class BudgetError(WaitError):
    """There is no budget, or no seat among the waiters, for this caller."""

    retryable = True


class CallerGoneError(WaitError):
    """The process on whose behalf rcfs waits has a fatal signal pending."""


class SuspendError(WaitError):
    """The machine is about to be suspended, for which no process may wait in the kernel."""

    retryable = True


class ClosingError(WaitError):
    """The mount is being taken down, so nothing is waited for any more."""


def sole_cause(error: BaseException) -> BaseException:
    """What `error` comes down to: trio wraps whatever leaves a nursery in a group, often of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
