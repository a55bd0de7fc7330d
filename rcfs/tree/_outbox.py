"""``Outbox``: the directories into which people drop what is to be sent, and the texts in them."""

import attrs

from rcfs.tree._drop_nodes import DropText, dropped_node
from rcfs.tree._drop_values import DropFile, Dropped, Path, Report
from rcfs.tree._dropping import DROP_DIRECTORIES
from rcfs.tree._drops import Drops
from rcfs.tree._greetings import GreetingDirectory
from rcfs.tree._nodes import Directory, Entry, Node, page_of
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
If a program copies only a part of a file and closes it, that part is sent: look at the errors of the copy.
If rcfs cannot find out whether it was sent, NAME.UNKNOWN.txt says what you can do.
To stop a message, remove its file. That fails once it is being sent.

Never sent: hidden files, files that are open or empty, and files called NAME~, NAME.part, NAME.tmp and so on.
"""


@attrs.define(eq=False, kw_only=True)
class DropDirectory(Directory):
    """``Outbox``, a directory in it, or a directory that somebody has made there."""

    drops: Drops
    """All that people have dropped."""
    path: Path = ()
    """Its path below ``Outbox``."""

    def times(self) -> Times:
        entry = self.drops.entries.get(self.path)
        time_s = self.drops.since_s if entry is None else entry.since_s
        return Times(time_s, time_s)

    def find(self, name: str) -> Node | None:
        if not self.path:
            if name == README:
                times = Times(self.drops.since_s, self.drops.since_s)
                return DropText(times=times, size_bytes=len(_README), data=_README)
            is_known = name in DROP_DIRECTORIES
            return DropDirectory(drops=self.drops, path=(name,)) if is_known else None
        found = self.drops.find((*self.path, name))
        return None if found is None else self._node(found)

    def page(self, after: int, limit: int) -> list[Entry]:
        if not self.path:
            named = ((name, self.find(name)) for name in (README, *DROP_DIRECTORIES))
            return page_of({name: node for name, node in named if node is not None}, after, limit)
        dropped = self.drops.listed(self.path, after, limit)
        return [Entry(number, name, self._node(found)) for number, name, found in dropped]

    def _node(self, found: DropFile | Dropped | Report) -> Node:
        if isinstance(found, Dropped):
            return DropDirectory(drops=self.drops, path=found.path)
        return dropped_node(found)


def drop_place(node: Node) -> tuple[Drops, Path] | None:
    """The drops and the path in them of a directory that takes files; None for another node."""
    match node:
        case DropDirectory():
            return node.drops, node.path
        case GreetingDirectory() if node.drops is not None:
            return node.drops, node.drop_path
        case _:
            return None
