"""A reader of a file system that is not a process."""

from collections.abc import Callable

import attrs

from rcfs.files import Reader
from rcfs.quota import Opener

_CAT = Reader("cat", Opener(("cat",), "session", "user"))


@attrs.frozen(eq=False)
class Somebody:
    """Waits for answers until it is ended."""

    _reader: Reader = _CAT
    _is_ending: Callable[[], bool] = lambda: False
    number: int = 1

    def reader(self) -> Reader:
        return self._reader

    def process(self) -> int:
        return self.number

    def is_ending(self) -> bool:
        return self._is_ending()
