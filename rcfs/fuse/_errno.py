"""The wrapper that turns each error of rcfs into an errno for the kernel."""

import errno
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from rcfs.errors import DeadlineError, InvalidNameError, RcfsError
from rcfs.files import errno_of
from rcfs.transport import Recorder

P = ParamSpec("P")
T = TypeVar("T")


class _HasRecorder(Protocol):
    @property
    def recorder(self) -> Recorder: ...


S = TypeVar("S", bound=_HasRecorder)
Handler = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


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
