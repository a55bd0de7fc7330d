"""Processes that die like with SIGKILL, as far as their databases go, within the process of the test."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import attrs
import pytest

_now_living: ContextVar["Life"] = ContextVar("life")


@attrs.define(eq=False)
class Life:
    """One process's; what is opened in a task that has `begun` it, or in a task started there, is its own."""

    on_end: Callable[[], None]
    """Called when it ends in the middle of its work with a database: all else dies then, too."""
    is_over: bool = False
    statements_left: int | None = None
    """So many statements are run before it ends; None for any number."""
    _connections: "list[_Connection]" = attrs.field(factory=list)

    def begin(self) -> None:
        """This task is the process from now on."""
        _now_living.set(self)

    def end(self) -> None:
        """Nothing reaches a database any more.

        What was committed stays. What was not is gone, and the locks are free, as when the kernel closes the
        files of a dead process: its transaction is never found in the log.
        """
        self.is_over = True
        while self._connections:
            self._connections.pop().end()

    def go_on(self) -> None:
        """Another statement is to be run.

        Raises:
            sqlite3.OperationalError: It is over: whoever asks is dead, and may say about that what it likes.
        """
        if self.statements_left is not None and not self.is_over:
            self.statements_left -= 1
            if self.statements_left < 0:
                self.end()
                self.on_end()
        if self.is_over:
            raise sqlite3.OperationalError("the process is dead")

    def add(self, connection: "_Connection") -> None:
        self._connections.append(connection)


class _Connection(sqlite3.Connection):
    _life: Life | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        life = _now_living.get(None)
        if life is not None:
            life.go_on()
            life.add(self)
        super().__init__(*arguments, **options)
        self._life = life

    def end(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # It was closed long ago.
            if self.in_transaction:
                super().execute("ROLLBACK")  # Closing leaves that to the last of its cursors.
            self.close()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self._life is not None:
            self._life.go_on()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        if self._life is not None:
            self._life.go_on()
        return super().executemany(sql, parameters)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every connection belong to the `Life` in which it is opened, if there is one."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *arguments, **options: connect(*arguments, factory=_Connection, **options)
    )
