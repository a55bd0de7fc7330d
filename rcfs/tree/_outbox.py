"""``Outbox``: the directories into which people drop what is to be sent, and the texts in them."""

import attrs

from rcfs.tree._dropping import DROP_DIRECTORIES
from rcfs.tree._drops import DropFile, Dropped, Drops, Path, Report
from rcfs.tree._nodes import Directory, Entry, Node, TextFile, page_of
from rcfs.tree._times import Times

README = "README.txt"
"""Name of the text that tells people what the directory does."""
_README = b"""\
What you put into these directories is SENT, a few seconds after it was written and closed.
Nobody can call back a message.

  SMS/+12125557464.txt             sends the text in the file to that number
  SMS/+12125557464/photo.jpg       sends a picture; a .txt file beside it is the text
  Fax/+12125557464/contract.pdf    sends a fax; all files of the directory are one fax
  Page/102.txt                     sends a message to the colleague with extension 102

Several recipients: put commas between them. Several files: make the directory elsewhere, and copy it here.
Copy files, do not move them: what was not sent is gone when the mount ends.

When the message was sent, the file is gone, and the message is in its directory (SMS, Fax, Pager).
If it cannot be sent, NAME.FAILED.txt says why. Write the file again to try again; remove both to forget it.
If rcfs cannot find out whether it was sent, NAME.UNKNOWN.txt says what you can do.
To stop a message, remove its file. That fails once it is being sent.

Never sent: hidden files, files that are open or empty, and files called NAME~, NAME.part, NAME.tmp and so on.
"""


@attrs.define(eq=False, kw_only=True)
class DropDirectory(Directory):
    """``Outbox``, a directory in it, or a directory that somebody has made there."""

    _drops: Drops
    path: Path = ()
    """Its path below ``Outbox``."""

    def times(self) -> Times:
        entry = self._drops.entries.get(self.path)
        time_s = self._drops.since_s if entry is None else entry.since_s
        return Times(time_s, time_s)

    def find(self, name: str) -> Node | None:
        if not self.path:
            if name == README:
                times = Times(self._drops.since_s, self._drops.since_s)
                return DropText(times=times, size_bytes=len(_README), data=_README)
            is_known = name in DROP_DIRECTORIES
            return DropDirectory(drops=self._drops, path=(name,)) if is_known else None
        found = self._drops.find((*self.path, name))
        return None if found is None else self._node(found)

    def page(self, after: int, limit: int) -> list[Entry]:
        if not self.path:
            named = ((name, self.find(name)) for name in (README, *DROP_DIRECTORIES))
            return page_of({name: node for name, node in named if node is not None}, after, limit)
        found: list[tuple[int, str, DropFile | Dropped | Report]] = []
        if len(self.path) == 1:
            here = {path: entry for path, entry in self._drops.entries.items() if path[0] == self.path[0]}
            for path, entry in here.items():
                found.append((entry.number, path[1], self._drops.find(path) or entry))
            reports = self._drops.reports.items()
            found += [(each.number, path[1], each) for path, each in reports if path[0] == self.path[0]]
        elif (folder := self._drops.entries.get(self.path)) is not None:
            found += [(file.number, name, file) for name, file in folder.files.items()]
        listed = sorted((each for each in found if each[0] > after), key=lambda each: each[0])
        return [Entry(number, name, self._node(each)) for number, name, each in listed[:limit]]

    def _node(self, found: DropFile | Dropped | Report) -> Node:
        match found:
            case DropFile():
                return found
            case Dropped():
                return DropDirectory(drops=self._drops, path=found.path)
            case Report():
                data = found.text.encode("utf-8", "replace")
                times = Times(found.time_s, found.time_s)
                return DropText(times=times, size_bytes=len(data), data=data)


@attrs.define(eq=False, kw_only=True)
class DropText(TextFile):
    """A text that tells people what ``Outbox`` does, or what became of a file."""

    _data: bytes

    def content(self) -> bytes:
        return self._data
