"""Files that people drop into directories of greetings and prompts: uploaded when they are complete.

An upload is one request, which is never repeated; nothing is left of it when the process dies.
"""

from pathlib import PurePath
from typing import Final

from rcfs.engine import Engine
from rcfs.errors import PlatformError, UndecidedError
from rcfs.files._changes import Changes, TreePath
from rcfs.files._dropping import Dropping
from rcfs.model import COMPANY, GREETING_TYPES, typed
from rcfs.outbox import Uploads, greeting_kind
from rcfs.tree import COMPANY_DIRECTORY, GREETINGS_VIEW, PROMPTS_VIEW, Dropped, Drops, Root

_FAILED: Final = """\
This was not uploaded: {problem}.

Write the file again to try again, or remove it and this text to forget it.
"""
_UNKNOWN: Final = """\
rcfs cannot find out whether this was uploaded: {problem}.

`rcfs refresh` shows the greetings that there are now. To upload it again, remove the file and this text, and
copy the file here again.
"""


class GreetingDropping(Dropping):
    """The greetings and prompts that people put into one tree."""

    def __init__(self, root: Root, drops: Drops, engine: Engine, changes: Changes) -> None:
        super().__init__(drops, engine, changes)
        self._root = root
        self._uploads = Uploads(engine.account, engine.requester)

    async def _use(self, entry: Dropped) -> None:
        """Uploads a file; raises as `Dropping`."""
        store = await self._prepared()
        place, name = entry.path
        ((_name, file),) = entry.sendable()
        if file.is_cut:
            raise ValueError(f"{name} is not whole: the program that wrote it was ended, or had no room")
        typed(GREETING_TYPES, name, "a greeting")
        alias = store.named(name, file.number)
        try:
            if place == PROMPTS_VIEW:
                await self._uploads.add_prompt(PurePath(name).stem, alias, file_name=name)
            else:
                owner, rule = self._rule(place)
                is_company = owner == COMPANY
                kind = greeting_kind(name, company=is_company)
                await self._uploads.set_greeting(rule, kind, alias, company=is_company, name=name)
        except UndecidedError as exc:
            self._fail(entry, str(exc), is_unknown=True)
        except PlatformError as exc:
            if exc.retryable:
                raise
            raise ValueError(str(exc)) from exc
        else:
            self._finish(entry)
        finally:
            store.forget([alias])

    def _rule(self, place: str) -> tuple[int, str]:
        """The owner and the name of the rule whose directory is at `place`.

        Raises:
            ValueError: Its greetings are not loaded, or several rules share the directory.
        """
        owner, _slash, directory = place.partition("/")
        shelf = self._root.greetings
        rules = None if shelf is None else shelf.rules(int(owner))
        names = {greeting.rule for greeting in (rules or {}).get(directory, {}).values()}
        if len(names) != 1:
            raise ValueError(f"it is not known which rule {directory!r} is; use `rcfs greeting set`")
        return int(owner), names.pop()

    def _failed_text(self, problem: str, *, is_unknown: bool) -> str:
        return (_UNKNOWN if is_unknown else _FAILED).format(problem=problem)

    def _shown(self, path: tuple[str, ...]) -> TreePath | None:
        if path[0] == PROMPTS_VIEW:
            return (COMPANY_DIRECTORY, *path)
        owner, _slash, rule = path[0].partition("/")
        name = COMPANY_DIRECTORY if int(owner) == COMPANY else self._root.name_of(int(owner))
        return None if name is None else (name, GREETINGS_VIEW, rule, *path[1:])
