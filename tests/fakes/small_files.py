"""The file system of a small account, without a platform or databases."""

from types import SimpleNamespace
from typing import Any, cast

import structlog

from rcfs.files import FileSystem, Waits
from rcfs.model import ChangeRules, Extension, Message
from rcfs.transport import Recorder
from rcfs.tree import build_root
from tests.fakes.catalogue import PlainCatalogue


async def live(topic: str) -> str:  # noqa: ASYNC124 - the mount's are asynchronous
    return f"about {topic}"


def small() -> FileSystem:
    """A file system with one message."""
    mailboxes = SimpleNamespace(visit=lambda _extension_id: None)
    engine = SimpleNamespace(
        account=SimpleNamespace(mailboxes=mailboxes, visit=lambda _collection_id: None),
        searches=None,
        outbox=SimpleNamespace(rules=ChangeRules()),
        library=None,
        cache=SimpleNamespace(spill=None),
        recorder=Recorder(structlog.get_logger()),
        lane=SimpleNamespace(gate=SimpleNamespace(mark_present=lambda: None)),
    )
    root = build_root([Extension(id=5, number="101", name="Jane")], fallback_s=0.0)
    catalogue = PlainCatalogue()
    catalogue.put(Message(1, "SMS", created_s=1793726825.0, subject="hi"))
    root.extension(5).show(catalogue)
    return FileSystem(root, cast("Any", engine), Waits(), max_wait_s=1.0, render_live=live)
