"""Which mailboxes a pull need not walk through: they are as they were when an earlier one had all of them.

What a mailbox shows has a revision in the index, and what lies in the copy or in the cache has a fingerprint.
When both are as they were, nothing is missing; when somebody has deleted a file by hand, the fingerprint is
another one. A pull that was interrupted, or in which something of a mailbox failed, notes nothing of it.
"""

import json
import time
from collections.abc import Callable
from hashlib import blake2b

from rcfs import __version__
from rcfs.engine import Engine
from rcfs.pull._copy import Copy, Found
from rcfs.pull._filter import Filter
from rcfs.pull._manifest import Complete
from rcfs.tree import SHELVING_EDITION, ExtensionDirectory


class CompleteMailboxes:
    """What earlier pulls noted of mailboxes: in the copy, or in the index for a pull into the cache."""

    def __init__(self, engine: Engine, copy: Copy | None, wanted: Filter) -> None:
        """Of pulls of `wanted` messages to `copy`, or into the cache where it is None."""
        self._engine = engine
        self._copy = copy
        self._wanted = wanted

    def state_of(self, extension: ExtensionDirectory) -> str:
        """What is to be there of a mailbox: another text whenever that may be something else than before."""
        catalogue = self._engine.account.mailboxes.catalogue(extension.extension.id)
        facts = (
            (__version__, SHELVING_EDITION),  # How rcfs names and renders what there is.
            (self._wanted.since_s, sorted(self._wanted.types)),
            extension.extension.raw,
            None if catalogue is None else catalogue.revision,
        )
        return blake2b(ascii(facts).encode(), digest_size=16).hexdigest()

    def found(
        self, name: str, extension: ExtensionDirectory, on_looked: Callable[[int], None]
    ) -> Found | None:
        """What is there of a mailbox; for worker threads.

        None when that cannot be told. `on_looked` hears now and then how many more files were looked at.
        """
        if self._copy is not None:
            return self._copy.found(name, on_looked)
        # What is not looked at file by file is compared with what was there when the pull began.
        fingerprint = self._engine.cache.fingerprint(self._engine.account.id, extension.extension.id)
        return None if fingerprint is None else Found(fingerprint, 0)

    def noted(self, name: str, extension: ExtensionDirectory) -> Complete | None:
        """What was noted last of a mailbox."""
        if self._copy is not None:
            return self._copy.complete(name)
        note = self._engine.index.reader.noted(self._topic(extension))
        try:
            state, files, fingerprint = json.loads("null" if note is None else note.text)
            return Complete(str(state), int(files), str(fingerprint))
        except (ValueError, TypeError):
            return None

    def note(self, name: str, extension: ExtensionDirectory, complete: Complete) -> None:
        """Notes that all of a mailbox is there; for worker threads.

        Raises:
            StoreError: It cannot be noted.
        """
        if self._copy is not None:
            self._copy.note_complete(name, complete)
            return
        text = json.dumps([complete.state, complete.files, complete.fingerprint])
        self._engine.index.writer.note(self._topic(extension), text, time.time())

    def _topic(self, extension: ExtensionDirectory) -> str:
        # Such a topic is forgotten with the account.
        return f"mailbox {self._engine.account.id}/{extension.extension.id} pulled"
