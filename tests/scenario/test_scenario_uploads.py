"""Uploads of greetings and prompts: each with one request, and nothing is repeated after a lost answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rcfs.errors import BadRequestError, ForbiddenError, UndecidedError
from rcfs.model import MOST_GREETING_BYTES
from rcfs.outbox import Uploads
from rcfs.simulator import AccountSpec
from tests.fakes.call_rig import CallWorld, open_calls

WAV = b"RIFF\xec\x03\0\0WAVE" + b"\0" * 1000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path, spec=AccountSpec(messages=5, months=1), calls=0) as world:
        yield world
        assert world.platform.simulator.journal.violations() == []


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    path.write_bytes(WAV)
    return path


async def test_a_list_that_was_loaded_shows_the_new_greeting(world: CallWorld, sound: Path) -> None:
    own = world.extensions[0]
    async with world.engine() as rig:
        account = rig.engine.account
        await account.open_collection(f"greetings/{own}")
        uploads = Uploads(account, rig.engine.requester)
        rule = (await uploads.rules())[0]
        greeting_id = await uploads.set_greeting(rule.name.upper(), "voicemail", sound)
        shown = account.greetings.greetings(own) or ()
        assert greeting_id in [each.id for each in shown if each.rule == rule.name]
    assert len(world.sent("createCustomUserGreeting")) == 1


async def test_a_lost_answer_is_left_to_a_person(world: CallWorld, sound: Path) -> None:
    async with world.engine() as rig:
        uploads = Uploads(rig.engine.account, rig.engine.requester)
        rule = (await uploads.rules())[0]
        for operation in ("createCustomUserGreeting", "createIVRPrompt"):
            world.platform.fault("reset", operation=operation)
        with pytest.raises(UndecidedError, match="repeat it: that replaces the greeting by the same one"):
            await uploads.set_greeting(rule.id, "Voicemail", sound)
        with pytest.raises(UndecidedError, match="look at the prompts before you repeat it"):
            await uploads.add_prompt("Hello", sound)
    assert len(world.sent("createCustomUserGreeting", "createIVRPrompt")) == 2


async def test_uploads_that_cannot_be(world: CallWorld, sound: Path, tmp_path: Path) -> None:
    for name, data in (
        ("empty.mp3", b""),
        ("hello.ogg", b""),
        ("text.mp3", b"hello"),
        ("cut.wav", WAV[:500]),
    ):
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "long.mp3").open("wb") as file:
        file.truncate(MOST_GREETING_BYTES + 1)
    async with world.engine() as rig:
        uploads = Uploads(rig.engine.account, rig.engine.requester)
        rule = (await uploads.rules())[0]
        with pytest.raises(ValueError, match="'Hello' is no greeting that can be set; these are: Intro"):
            await uploads.set_greeting(rule.id, "Hello", sound)
        with pytest.raises(ValueError, match=r"did you mean 'Voicemail'\?"):
            await uploads.set_greeting(rule.id, "voice mail", sound)
        with pytest.raises(ValueError, match=r"no rule is called 'xyz'; there are"):
            await uploads.set_greeting("xyz", "Voicemail", sound)
        with pytest.raises(ValueError, match=f"did you mean '{rule.name}'"):
            await uploads.set_greeting(rule.name[:-1], "Voicemail", sound)
        with pytest.raises(ValueError, match=r"empty\.mp3 is empty"):
            await uploads.add_prompt("", tmp_path / "empty.mp3")
        with pytest.raises(ValueError, match=r"text\.mp3 is neither a WAV nor an MP3 file"):
            await uploads.add_prompt("", tmp_path / "text.mp3")
        with pytest.raises(ValueError, match=r"cut\.wav is not whole: its end is missing"):
            await uploads.set_greeting(rule.id, "Voicemail", tmp_path / "cut.wav")
        with pytest.raises(ValueError, match=r"long\.mp3 is larger than 20 MB"):
            await uploads.set_greeting(rule.id, "Voicemail", tmp_path / "long.mp3")
        with pytest.raises(ValueError, match="a greeting takes no such file, only mp3, wav"):
            await uploads.add_prompt("", tmp_path / "hello.ogg")
        world.platform.fault("status", status=403, code="CMN-401", operation="createCustomUserGreeting")
        with pytest.raises(ForbiddenError, match=r"the app lacks the scope EditExtensions \(CMN-401\)"):
            await uploads.set_greeting(rule.id, "Voicemail", sound)
        world.platform.fault("status", status=403, code="CMN-408", operation="createCustomUserGreeting")
        with pytest.raises(ForbiddenError, match=r"does not permit your user to do this \(CMN-408\)"):
            await uploads.set_greeting(rule.id, "Voicemail", sound)
        world.platform.fault("status", status=403, code="CMN-468", operation="listAnsweringRules")
        with pytest.raises(BadRequestError, match="new call handling"):
            await uploads.rules()
    assert len(world.sent("createCustomUserGreeting")) == 2
