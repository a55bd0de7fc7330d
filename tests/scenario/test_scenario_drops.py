"""Files that people drop into a tree, without a mount: sent or uploaded once, or a report says why not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from rcfs.errors import BusyError
from rcfs.files import Dropping, FileSystem, Waits, tree_of
from rcfs.model import ChangeRules, SendKind, SendState
from rcfs.simulator import AccountSpec
from rcfs.tree import Directory, DropText, Node
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.sending import BOB, OPERATIONS, outbox_of, outgoing_of, settled

WAV = b"RIFF\xec\x03\0\0WAVE" + b"\0" * 1000


@attrs.define(eq=False)
class Desk:
    """A process with a tree, in which somebody puts files."""

    rig: CallRig
    files: FileSystem
    owner: str

    def find(self, *path: str) -> Node | None:
        """The node at a path; below the login's own extension if it begins with a dot."""
        node: Node | None = self.files.root
        for name in (self.owner, *path[1:]) if path[0] == "." else path:
            assert isinstance(node, Directory), path
            node = node.find(name)
        return node

    def names(self, *path: str) -> list[str]:
        node = self.find(*path)
        assert isinstance(node, Directory)
        return [entry.name for entry in node.page(0, 100)]

    def text(self, *path: str) -> str:
        node = self.find(*path)
        assert isinstance(node, DropText), path
        return node.content().decode()

    def dropping(self, *path: str) -> tuple[Node, Dropping]:
        node = self.find(*path)
        assert node is not None
        dropping = self.files.dropping_at(node)
        assert dropping is not None
        return node, dropping

    async def put(self, data: bytes, *path: str) -> None:
        """Writes a file, and closes it."""
        parent, dropping = self.dropping(*path[:-1])
        _file, opener = await dropping.create(parent, path[-1])
        await dropping.write(opener, 0, data)
        dropping.close(opener)

    async def remove(self, *path: str) -> None:
        parent, dropping = self.dropping(*path[:-1])
        await dropping.remove(parent, path[-1])


@asynccontextmanager
async def desk_of(world: CallWorld) -> AsyncIterator[Desk]:
    """A process in which people send, and may change the account."""
    async with world.engine(rules=ChangeRules(read_write=True), outbox=True) as rig:
        engine = rig.engine
        for collection in (f"greetings/{world.extensions[0]}", "greetings/company", "prompts/company"):
            await engine.account.open_collection(collection)
        root = tree_of(engine, sends=True, uploads=True)

        async def render(topic: str) -> str:  # noqa: ASYNC124 - nobody looks
            return topic

        files = FileSystem(root, engine, Waits(), max_wait_s=60.0, render_live=render)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.sends.run)
            for dropping in files.droppings.values():
                nursery.start_soon(dropping.run)
            yield Desk(rig, files, root.name_of(world.extensions[0]) or "")
            nursery.cancel_scope.cancel()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        yield world


async def test_greetings_and_prompts_are_uploaded_once(world: CallWorld) -> None:
    async with desk_of(world) as desk:
        rule = desk.names(".", "Greetings")[0]
        await desk.put(WAV, ".", "Greetings", rule, "hello.wav")
        await desk.put(WAV, ".", "Greetings", rule, "Unavailable [1].wav")
        await desk.put(WAV + b"1", "Company", "Greetings", rule, "welcome.wav")
        await desk.put(WAV + b"2", "Company", "IVR Prompts", "Lunch.wav")
        await desk.put(WAV, ".", "Greetings", rule, "hello.wav.part")
        assert "hello.wav" in desk.names(".", "Greetings", rule)
        await trio.sleep(30)
        found = [(each.operation, each.what) for each in world.backend.sends.all()]
        assert sorted(found, key=str) == [
            ("createCompanyGreeting", "Company"),
            ("createCustomUserGreeting", "Unavailable"),
            ("createCustomUserGreeting", "Voicemail"),
            ("createIVRPrompt", "Lunch.wav"),
        ]
        shown = desk.names(".", "Greetings", rule)
        assert "hello.wav.part" in shown
        assert "hello.wav" not in shown
        assert any(each.startswith("Lunch [") for each in desk.names("Company", "IVR Prompts"))
    assert world.platform.simulator.journal.violations() == []


async def test_a_greeting_that_fails_is_told_and_a_person_decides(world: CallWorld) -> None:
    async with desk_of(world) as desk:
        rule = desk.names(".", "Greetings")[0]
        here = (".", "Greetings", rule)
        await desk.put(b"no sound", *here, "text.mp3")
        await trio.sleep(10)
        assert "neither a WAV nor an MP3 file" in desk.text(*here, "text.mp3.FAILED.txt")
        world.platform.fault("reset", operation="createCustomUserGreeting")
        await desk.put(WAV, *here, "lost.wav")
        await trio.sleep(600)
        assert "cannot find out" in desk.text(*here, "lost.wav.UNKNOWN.txt")
        assert len(world.sent("createCustomUserGreeting")) == 1
        desk.rig.line.is_cut = True
        await desk.put(WAV + b"later", *here, "later.wav")
        await trio.sleep(600)
        assert "later.wav" in desk.names(*here)
        desk.rig.line.is_cut = False
        await trio.sleep(120)
        assert "later.wav" not in desk.names(*here)
        await desk.remove(*here, "lost.wav")
        await desk.remove(*here, "lost.wav.UNKNOWN.txt")
    assert len(world.sent("createCustomUserGreeting")) == 2


async def test_another_process_shows_what_was_not_sent(world: CallWorld, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = CallWorld(world.platform, tmp_path / "elsewhere")
    outgoing, _paths = outgoing_of(world, SendKind.SMS, tmp_path)
    async with desk_of(world) as desk, elsewhere.engine(outbox=True) as other:
        world.platform.fault("reset", operation=OPERATIONS[SendKind.SMS])
        await desk.put(b"hello", ".", "Outbox", "SMS", f"{BOB}.txt")
        await trio.sleep(3)
        await other.engine.sends.add(outgoing)
        await other.engine.sends.look()
        await trio.sleep(30)
        (send,) = desk.rig.engine.sends.all()
        assert send.state is SendState.UNKNOWN
        assert desk.names(".", "Outbox", "SMS") == [f"{BOB}.txt", f"{BOB}.txt.UNKNOWN.txt"]
    async with desk_of(world) as desk:
        await trio.sleep(1)
        (report,) = desk.names(".", "Outbox", "SMS")
        assert report == f"{BOB} [{send.id}].UNKNOWN.txt"
        assert f"rcfs outbox --again {send.id}" in desk.text(".", "Outbox", "SMS", report)
        await desk.remove(".", "Outbox", "SMS", report)
        assert desk.rig.engine.sends.all() == ()
    assert len(outbox_of(world)) == 2


async def test_a_sent_message_is_not_forgotten_with_its_file(world: CallWorld) -> None:
    async with desk_of(world) as desk:
        sends = desk.rig.engine.sends
        await desk.put(b"hello", ".", "Outbox", "SMS", f"{BOB}.txt")
        _parent, dropping = desk.dropping(".", "Outbox", "SMS")
        await trio.sleep(5)
        (send,) = sends.all()
        assert (await settled(sends, send)).state is SendState.SENT
        with pytest.raises(BusyError, match="or was sent"):
            await dropping._stop(send.id)
        assert len(sends.all()) == 1
