"""`rcfs top`: a live view of a mount in a terminal."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static

from rcfs.errors import RcfsError
from rcfs.status import ReaderStatus, Status
from rcfs.watch._top_rows import ORDERS, Row, headline, load_rows, queue_rows, quota_rows, reader_row, readers

_COLUMNS = {
    "quota": ("Quota", "", "Used", "Next slot"),
    "queue": ("Queue", "Class", "Waiting", "Oldest", "Last sent in"),
    "readers": ("Pid", "Reader", "Files", "Read", "Rate", "Waits", "State"),
    "loads": ("Loading", "Pages", "Records", "Left"),
}


class Top(App[None]):
    """Shows the status of a mount again and again."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "rcfs top"
    CSS = """
    Screen { layout: vertical; }
    #head { height: auto; padding: 0 1; }
    #said { height: auto; padding: 0 1; text-style: bold; }
    DataTable { height: auto; max-height: 14; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("ctrl+c", "quit", "Quit"),
        ("p", "pause", "Pause"),
        ("s", "sort", "Sort readers"),
        ("r", "refuse", "Refuse or release a reader"),
    ]

    def __init__(
        self, look: Callable[[], Status | None], act: Callable[[str, int], str], *, every_s: float
    ) -> None:
        """Makes a view that nothing has been shown in yet.

        Args:
            look: The present status, None if the mount does not answer; runs in a thread.
            act: Refuses (``refuse``) or releases (``release``) a process, and returns a line about that; runs
                in a thread, and may raise RcfsError.
            every_s: Time between two looks, in seconds.
        """
        super().__init__()
        self._look = look
        self._act = act
        self._every_s = every_s
        self._now: Status | None = None
        self._former: Status | None = None
        self._orders = cycle(ORDERS)
        self._order = next(self._orders)
        self._paused = self._looking = self._is_silent = False
        self._shown: Sequence[ReaderStatus] = ()

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Static("looking…", id="head", markup=False)
        yield Static("", id="said", markup=False)
        with VerticalScroll(can_focus=False):
            for name in _COLUMNS:
                yield DataTable(id=name, cursor_type="row" if name == "readers" else "none")
        yield Footer()

    async def on_mount(self) -> None:
        """Begins to look."""
        for name, columns in _COLUMNS.items():
            self._table(name).add_columns(*columns)
        self._table("readers").focus()
        self.set_interval(self._every_s, self.look_again)
        self.look_again()

    def look_again(self) -> None:
        """Looks at the mount, unless a look is under way or the view is paused."""
        if not self._looking and not self._paused:
            self.run_worker(self._look_once())

    def action_pause(self) -> None:
        """Stops to look, or looks again."""
        self._paused = not self._paused
        self._say("paused; p continues" if self._paused else "")

    def action_sort(self) -> None:
        """Shows the readers in the next order."""
        self._order = next(self._orders)
        self._say(f"readers by {self._order}")
        self._show_readers()

    async def action_refuse(self) -> None:
        """Refuses the reader under the cursor, or releases it."""
        row = self._table("readers").cursor_row
        if not 0 <= row < len(self._shown):
            self._say("no reader to refuse")
            return
        chosen = self._shown[row]
        try:
            action = "release" if chosen.refused else "refuse"
            self._say(await asyncio.to_thread(self._act, action, chosen.pid))
        except RcfsError as exc:
            self._say(str(exc))
        await self._look_once()

    async def _look_once(self) -> None:
        self._looking = True
        try:
            found = await asyncio.to_thread(self._look)
        finally:
            self._looking = False
        if found is None:
            self._is_silent = True
            self._say("the mount does not answer; q quits")
            return
        if self._is_silent:
            self._is_silent = False
            self._say("")
        self._former, self._now = self._now, found
        self.query_one("#head", Static).update("\n".join(headline(found, self._former)))
        self._fill("quota", quota_rows(found))
        self._fill("queue", queue_rows(found))
        self._fill("loads", load_rows(found))
        self._show_readers()

    def _show_readers(self) -> None:
        if self._now is None:
            return
        table = self._table("readers")
        chosen = self._shown[table.cursor_row].pid if 0 <= table.cursor_row < len(self._shown) else None
        self._shown, now = readers(self._now, self._order), self._now
        self._fill("readers", (reader_row(each, self._former, now) for each in self._shown))
        places = [number for number, each in enumerate(self._shown) if each.pid == chosen]
        table.move_cursor(row=places[0] if places else 0)

    def _fill(self, name: str, rows: Iterable[Row]) -> None:
        table = self._table(name)
        table.clear()
        for row in rows:
            table.add_row(*map(Text, row))

    def _table(self, name: str) -> "DataTable[Text]":
        return self.query_one(f"#{name}", DataTable)

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(text)
