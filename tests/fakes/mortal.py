"""Simulated processes within the test's process that die as with SIGKILL, as their databases see it."""

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
    """The life of one process: it owns what a task that called `begin`, or a child task of it, opens."""

    on_end: Callable[[], None]
    """Called when it dies in the middle of a statement, so that the rest of the process dies, too."""
    is_over: bool = False
    statements_left: int | None = None
    """Number of statements before it dies; None for no limit."""
    _connections: "list[_Connection]" = attrs.field(factory=list)

    def begin(self) -> None:
        """Make this task part of the process from now on."""
        _now_living.set(self)

    def end(self) -> None:
        """Kill it: no statement reaches a database any more.

        Committed data stays. Uncommitted data is gone and the locks are free, as when the kernel closes the
        files of a dead process.
        """
        self.is_over = True
        while self._connections:
            self._connections.pop().end()

    def count_statement(self) -> None:
        """Count a statement that is about to run.

        Raises:
            sqlite3.OperationalError: The process is dead; what its code does with this error does not matter.
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
            life.count_statement()
            life.add(self)
        super().__init__(*arguments, **options)
        self._life = life

    def end(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # It was closed long ago.
            if self.in_transaction:
                super().execute("ROLLBACK")  # Closing the connection would wait for its last cursor.
            self.close()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self._life is not None:
            self._life.count_statement()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        if self._life is not None:
            self._life.count_statement()
        return super().executemany(sql, parameters)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection belong to the `Life` in which it is opened, if any."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *arguments, **options: connect(*arguments, factory=_Connection, **options)
    )
