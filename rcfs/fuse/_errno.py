"""Which errno a process sees for which error of rcfs: one table, and the wrapper that applies it."""

import errno
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from rcfs.errors import (
    AuthError,
    BudgetError,
    CallerGoneError,
    ClosingError,
    DeadlineError,
    ExistsError,
    ForbiddenError,
    InvalidNameError,
    NameTooLongError,
    NoDirectoryError,
    NoRoomError,
    NotFoundError,
    NotReadyError,
    OfflineError,
    PurgedError,
    RcfsError,
    ReadOnlyError,
    StaleError,
    SuspendError,
    TooLargeError,
    UnreachableError,
    WrongKindError,
)
from rcfs.transport import Recorder

_ERRNOS: tuple[tuple[type[RcfsError], int], ...] = (
    (NotFoundError, errno.ENOENT),
    (PurgedError, errno.ENODATA),  # the file is listed, so it is not ENOENT; no repetition will help
    (ForbiddenError, errno.EACCES),
    (AuthError, errno.EACCES),
    (StaleError, errno.ESTALE),  # the kernel looks the name up again
    (ReadOnlyError, errno.EROFS),
    (ExistsError, errno.EEXIST),
    (NameTooLongError, errno.ENAMETOOLONG),
    (InvalidNameError, errno.EINVAL),
    (NoDirectoryError, errno.ENOTDIR),
    (WrongKindError, errno.EINVAL),
    (NotReadyError, errno.EBUSY),  # the fax exists and is still being made: try again later
    (UnreachableError, errno.ENETUNREACH),
    (OfflineError, errno.ENETUNREACH),
    (BudgetError, errno.EBUSY),
    (SuspendError, errno.EBUSY),  # the same: nothing is wrong with the file, try again later
    (DeadlineError, errno.ETIMEDOUT),
    (TooLargeError, errno.EFBIG),
    (NoRoomError, errno.ENOSPC),
    (CallerGoneError, errno.EINTR),  # only ever with a signal pending, so nobody loops on it
    (ClosingError, errno.ENOTCONN),  # what everybody else will see in a moment
)
"""First match wins. Everything else is EIO: a server or a connection that failed after all repetitions, and
what rcfs did not expect. A transient fault is never ENOENT: programs remember absence. No error has
EAGAIN, which Python's readers take for the end of the file: see `answering_briefly`."""

P = ParamSpec("P")
T = TypeVar("T")


class _HasRecorder(Protocol):
    @property
    def recorder(self) -> Recorder: ...


S = TypeVar("S", bound=_HasRecorder)
Handler = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def errno_of(error: RcfsError) -> int:
    """The errno that stands for `error`."""
    return next((number for kind, number in _ERRNOS if isinstance(error, kind)), errno.EIO)


def answering(handler: Handler[S, P, T]) -> Handler[S, P, T]:
    """`handler`, raising nothing but FUSEError: anything else would end the mount.

    Every EIO that it gives is recorded: a process sees nothing but the number.
    """
    return _guarded(handler, errno.ETIMEDOUT)


def answering_briefly(handler: Handler[S, P, T]) -> Handler[S, P, T]:
    """As `answering`, for a handler that waits for two seconds at most; then its work goes on without it.

    It says EAGAIN, as whoever asks once more may have the answer. Not for `open` and `read`.
    """
    return _guarded(handler, errno.EAGAIN)


def _guarded(handler: Handler[S, P, T], late: int) -> Handler[S, P, T]:
    async def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await handler(self, *args, **kwargs)
        except pyfuse3.FUSEError as exc:
            if exc.errno == errno.EIO:
                self.recorder.fault(f"fuse {handler.__name__}", "input/output error")
            raise
        except DeadlineError as exc:
            raise pyfuse3.FUSEError(late) from exc
        except RcfsError as exc:
            number = errno_of(exc)
            if number == errno.EIO:
                self.recorder.fault(f"fuse {handler.__name__}", str(exc) or type(exc).__name__)
            raise pyfuse3.FUSEError(number) from exc
        except Exception as exc:
            self.recorder.crash(f"fuse {handler.__name__}", exc)
            raise pyfuse3.FUSEError(errno.EIO) from exc

    update_wrapper(guarded, handler)
    return guarded
