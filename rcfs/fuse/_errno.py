"""The errno for each error of rcfs: one table, and the wrapper that applies it to handlers."""

import errno
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from rcfs.errors import (
    AuthError,
    BudgetError,
    BusyError,
    CallerGoneError,
    ClosingError,
    DeadlineError,
    ExistsError,
    ForbiddenError,
    InvalidNameError,
    NameTooLongError,
    NoDirectoryError,
    NoRoomError,
    NotEmptyError,
    NotFoundError,
    NotPermittedError,
    NotReadyError,
    OfflineError,
    PurgedError,
    RcfsError,
    ReadOnlyError,
    StaleError,
    SuspendError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
    WrongKindError,
)
from rcfs.transport import Recorder

_ERRNOS: tuple[tuple[type[RcfsError], int], ...] = (
    (NotFoundError, errno.ENOENT),
    (PurgedError, errno.ENODATA),  # not ENOENT, because the file is listed; repeating does not help
    (ForbiddenError, errno.EACCES),
    (AuthError, errno.EACCES),
    (StaleError, errno.ESTALE),  # the kernel looks the name up again
    (ReadOnlyError, errno.EROFS),
    (NotPermittedError, errno.EPERM),
    (NotEmptyError, errno.ENOTEMPTY),
    (ExistsError, errno.EEXIST),
    (BusyError, errno.EBUSY),
    (NameTooLongError, errno.ENAMETOOLONG),
    (InvalidNameError, errno.EINVAL),
    (NoDirectoryError, errno.ENOTDIR),
    (WrongKindError, errno.EINVAL),
    (UnsupportedError, errno.EOPNOTSUPP),
    (NotReadyError, errno.EBUSY),  # the platform still makes the fax: try again later
    (UnreachableError, errno.ENETUNREACH),
    (OfflineError, errno.ENETUNREACH),
    (BudgetError, errno.EBUSY),
    (SuspendError, errno.EBUSY),  # the file is fine: try again later
    (DeadlineError, errno.ETIMEDOUT),
    (TooLargeError, errno.EFBIG),
    (NoRoomError, errno.ENOSPC),
    (CallerGoneError, errno.EINTR),  # only with a signal pending, so no program loops on it
    (ClosingError, errno.ENOTCONN),  # the error of all calls after the unmount
)
"""The first match wins. All other errors are EIO: a server or connection that failed after all repetitions,
and unexpected exceptions. A transient fault is never ENOENT, because programs remember absence. No error is
EAGAIN, which readers in Python take for the end of the file; see `answering_briefly`."""

P = ParamSpec("P")
T = TypeVar("T")


class _HasRecorder(Protocol):
    @property
    def recorder(self) -> Recorder: ...


S = TypeVar("S", bound=_HasRecorder)
Handler = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def errno_of(error: RcfsError) -> int:
    """The errno for `error`."""
    return next((number for kind, number in _ERRNOS if isinstance(error, kind)), errno.EIO)


def answering(handler: Handler[S, P, T]) -> Handler[S, P, T]:
    """Wraps `handler` to raise FUSEError only: any other exception would end the mount.

    Each EIO, and each name that is refused, is recorded, because the process sees only the number.
    """
    return _guarded(handler, errno.ETIMEDOUT)


def answering_briefly(handler: Handler[S, P, T]) -> Handler[S, P, T]:
    """As `answering`, for a handler that waits for two seconds at most, while its work continues.

    A wait that is over gives EAGAIN, because the next call may get the answer. Not for `open` and `read`.
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
            if number == errno.EIO or isinstance(exc, InvalidNameError):
                self.recorder.fault(f"fuse {handler.__name__}", str(exc) or type(exc).__name__)
            raise pyfuse3.FUSEError(number) from exc
        except Exception as exc:
            self.recorder.crash(f"fuse {handler.__name__}", exc)
            raise pyfuse3.FUSEError(errno.EIO) from exc

    update_wrapper(guarded, handler)
    return guarded
