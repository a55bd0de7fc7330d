"""On whose behalf this process asks: one reader, whatever the thread."""

import os

import attrs

from rcfs.files import Reader
from rcfs.procfs import read_stat
from rcfs.quota import Opener


@attrs.frozen
class ThisProcess:
    """This process, which counts as one process of a mount does.

    Its first cold opens in a minute are a person's; with more of them it is a walker, and they are bulk.
    """

    _reader: Reader

    @classmethod
    def here(cls) -> "ThisProcess":
        """The process that calls this."""
        stat = read_stat(os.getpid())
        return cls(Reader(stat.name, Opener((stat.identity,), stat.session, str(os.getuid()))))

    def __str__(self) -> str:
        return "this process"

    def reader(self) -> Reader:
        """See `Asker.reader`."""
        return self._reader

    def process(self) -> int:
        """See `Asker.process`."""
        return os.getpid()

    def is_ending(self) -> bool:
        """See `Asker.is_ending`: a caller that gives up cancels its call."""
        return False
