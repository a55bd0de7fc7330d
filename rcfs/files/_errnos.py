"""The errno for each error of rcfs: one table for all consumers of the file system."""

import errno

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
EAGAIN, which readers in Python take for the end of the file."""


def errno_of(error: RcfsError) -> int:
    """The errno for `error`."""
    return next((number for kind, number in _ERRNOS if isinstance(error, kind)), errno.EIO)
