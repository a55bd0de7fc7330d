"""Seats for large contents that are read while they arrive."""

from types import SimpleNamespace
from typing import Any, cast

import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content import Content
from rcfs.engine import Engine
from rcfs.files import MAX_READ_WAITERS, FileSystem, Waits
from rcfs.files._contents import WHOLE_BYTES
from rcfs.model import CHUNK_BYTES, Attachment, ChangeRules, Extension, Message
from rcfs.tree import AttachmentFile, Directory, Node, build_root
from tests.fakes.askers import Somebody
from tests.fakes.catalogue import PlainCatalogue

STREAMS = MAX_READ_WAITERS // 2
"""Seats of a mount whose kernel keeps its usual limit."""


def attachments_below(node: Node) -> list[AttachmentFile]:
    """All attachments below `node`."""
    if isinstance(node, Directory):
        return [file for child in node.entries().values() for file in attachments_below(child)]
    return [node] if isinstance(node, AttachmentFile) else []


async def test_opens_that_wait_together_take_no_more_seats_than_there_are(nursery: trio.Nursery) -> None:
    root = build_root([Extension(id=5)], fallback_s=0.0)
    catalogue = PlainCatalogue()
    for number in range(STREAMS + 2):
        catalogue.put(Message(id=number, type="Fax", attachments=(Attachment(1, "RenderedDocument"),)))
    root.extension(5).show(catalogue)
    contents: list[Content] = []

    async def look(wanted: Any) -> Content:
        await trio.lowlevel.checkpoint()
        content = Content(wanted.key)
        content.set_size(WHOLE_BYTES + CHUNK_BYTES)
        contents.append(content)
        return content

    library = SimpleNamespace(look=look, fetch=lambda *_arguments: None, release=lambda _content: None)
    recorder = SimpleNamespace(detail=lambda *_arguments, **_fields: None)
    cache = SimpleNamespace(spill=None)
    engine = cast(
        "Engine",
        SimpleNamespace(
            library=library,
            cache=cache,
            recorder=recorder,
            searches=None,
            outbox=SimpleNamespace(rules=ChangeRules()),
        ),
    )
    files = FileSystem(root, engine, Waits(), max_wait_s=60, render_live=cast("Any", None))
    opened = []

    async def open_file(file: AttachmentFile) -> None:
        opened.append(await files._contents.open(7, file, Somebody()))

    for file in attachments_below(root.extension(5)):
        nursery.start_soon(open_file, file)
    await wait_all_tasks_blocked()
    for content in contents:
        content.write(0, memoryview(bytes(CHUNK_BYTES)))
    await wait_all_tasks_blocked()
    assert [handle.streaming for handle in opened] == [True] * STREAMS

    for content in contents:
        content.finish()
    await wait_all_tasks_blocked()
    assert [handle.streaming for handle in opened[STREAMS:]] == [False] * 2
