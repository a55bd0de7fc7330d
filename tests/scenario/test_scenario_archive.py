"""With ``--keep-purged``, purged messages stay readable, and cost no request."""

from pathlib import Path

import pytest

from rcfs.errors import PurgedError
from rcfs.model import AttachmentKey, Availability, ContentKey, Filter, Message, Wanted
from rcfs.pull import Pull
from tests.fakes.rig import EXTENSION_ID, Rig, add_voicemail, noise
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform
from tests.scenario.conftest import OpenRig

FETCH, READ = "readMessageContent", "readMessage"
DATA = {number: noise(1000, number) for number in (1, 2, 3)}


@pytest.fixture
def voicemails(platform: ScriptedPlatform) -> None:
    """Messages 1 to 3 with a voicemail each."""
    for number, data in DATA.items():
        add_voicemail(platform, number, data)


def wanted(message: Message) -> Wanted:
    """The voicemail of `message`, as the mount asks for it."""
    (attachment,) = message.attachments
    return Wanted(
        AttachmentKey(ACCOUNT_ID, EXTENSION_ID, message.id, attachment.id),
        attachment.uri,
        attachment.content_type,
        purged=message.availability == Availability.PURGED,
    )


async def shown(rig: Rig) -> dict[int, str]:
    """The availability of each message that is shown, by id."""
    return {message.id: message.availability for message in await rig.messages()}


def pinned(rig: Rig) -> set[int]:
    """The messages of which something is pinned."""
    return {key.message_id for key in rig.cache.pins() if isinstance(key, AttachmentKey)}


async def cached(rig: Rig) -> list[ContentKey]:
    """The keys of all voicemails, which are in the cache now."""
    messages = await rig.messages()
    for message in messages:
        await rig.read(wanted(message))
    return [wanted(message).key for message in messages]


async def refresh(rig: Rig) -> None:
    await rig.engine.account.mailboxes.refresh(EXTENSION_ID)


@pytest.mark.usefixtures("voicemails")
async def test_an_archive_keeps_purged_messages_and_their_cached_contents(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig(keep_purged=True) as rig:
        cached, cold, _alive = await rig.messages()
        await rig.read(wanted(cached))
        for number in (1, 2):
            platform.remove(number, "Purged")
        await refresh(rig)
        assert await shown(rig) == {1: "Purged", 2: "Purged", 3: "Alive"}
        cached, cold, _alive = await rig.messages()
        sent = len(platform.seen)
        assert await rig.read(wanted(cached)) == DATA[1]
        with pytest.raises(PurgedError, match="before rcfs had fetched all of it"):
            await rig.read(wanted(cold))
        assert len(platform.seen) == sent, "nobody was asked"
        assert pinned(rig) == {1, 2}
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(((),), Filter())
        assert [plan.present, plan.missing, plan.gone, len(plan.failures)] == [1, 1, 1, 0]


@pytest.mark.usefixtures("voicemails")
async def test_a_full_load_keeps_messages_that_the_list_lacks(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig(keep_purged=True) as rig:
        await rig.messages()
        platform.refused_tokens = {"since-3"}
        platform.messages = platform.messages[1:]
        platform.changes.append({})
        await refresh(rig)
        assert await shown(rig) == {1: "Purged", 2: "Alive", 3: "Alive"}
        assert pinned(rig) == {1}


@pytest.mark.usefixtures("voicemails")
async def test_without_keep_purged_kept_messages_are_hidden_until_it_is_set_again(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig(keep_purged=True) as rig:
        first = (await rig.messages())[0]
        await rig.read(wanted(first))
        platform.remove(1, "Purged")
        await refresh(rig)
    async with new_rig() as rig:
        assert await shown(rig) == {2: "Alive", 3: "Alive"}
        platform.remove(2, "Purged")
        await refresh(rig)
        assert await shown(rig) == {3: "Alive"}
        catalogue = await rig.mailbox()
        assert catalogue.home(1) is None
        platform.refused_tokens = {"since-5"}
        platform.changes.append({})
        await refresh(rig)  # which compares everything
    async with new_rig(keep_purged=True) as rig:
        assert await shown(rig) == {1: "Purged", 3: "Alive"}, "what was purged meanwhile is forgotten"
        assert await rig.read(wanted((await rig.messages())[0])) == DATA[1]
    assert len(platform.sent(FETCH)) == 1


@pytest.mark.usefixtures("voicemails")
async def test_the_cache_evicts_pinned_contents_last(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    async with new_rig(keep_purged=True, cache_bytes=8 << 20) as rig:
        first = (await rig.messages())[0]
        await rig.read(wanted(first))
        platform.remove(1, "Purged")
        await refresh(rig)
        for number in range(10, 20):
            await rig.read(rig.wanted(number, noise(1 << 20, number)))
        states = [rig.cache.contains(AttachmentKey(ACCOUNT_ID, EXTENSION_ID, n, n)) for n in (1, 10, 19)]
        assert states == ["yes", "no", "yes"]


async def test_a_mailbox_is_shown_although_the_archive_cannot_be_read(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    platform.messages = [{"id": 7, "type": "SMS", "subject": "hi", "availability": "Alive"}]
    (tmp_path / "archive.sqlite").mkdir()
    async with new_rig(keep_purged=True) as rig:
        assert await shown(rig) == {7: "Alive"}
        assert "archive of purged messages cannot be used" in rig.engine.recorder.faults[-1].detail


async def test_a_message_that_a_read_finds_purged_is_kept(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig(keep_purged=True) as rig:
        await rig.mailbox()
        record = {"id": 7, "type": "SMS", "subject": "hi", "availability": "Purged"}
        platform.messages = [record]
        platform.changes.append({"id": 7, "availability": "Deleted"})
        await refresh(rig)
        assert await shown(rig) == {7: "Purged"}
        assert len(platform.sent(READ)) == 1


@pytest.mark.usefixtures("voicemails")
async def test_contents_of_a_purged_message_leave_the_cache_unless_they_are_pinned(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        keys = await cached(rig)
        rig.cache.pin([keys[1]])
        for number in (1, 2):
            platform.remove(number, "Purged")
        await refresh(rig)
        assert [rig.cache.contains(key) for key in keys] == ["no", "yes", "yes"]


@pytest.mark.usefixtures("voicemails")
async def test_open_contents_of_purged_messages_are_closed_where_the_cache_is_too_small(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    def unnamed() -> int:
        descriptors = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        names = [str(each.readlink()) for each in descriptors]
        return sum(name.startswith(f"{tmp_path}/") and name.endswith("(deleted)") for name in names)

    async with new_rig(cache_bytes=1) as rig:
        keys = await cached(rig)
        assert unnamed() == 3, "one file each, which is read again without a request"
        used = next(each for each in await rig.messages() if each.id == 2)
        reading = await rig.open(wanted(used))
        rig.cache.pin([keys[2]])
        for number in (1, 2, 3):
            platform.remove(number, "Purged")
        await refresh(rig)
        assert unnamed() == 2, "that which is read, and that which is kept on purpose"
        assert reading.read(0, 1000) == DATA[2][:1000]
        rig.engine.library.release(reading)
        assert unnamed() == 1


@pytest.mark.usefixtures("voicemails")
async def test_contents_of_messages_that_a_full_load_lacks_leave_the_cache(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        keys = await cached(rig)
        platform.refused_tokens = {"since-3"}
        platform.messages = platform.messages[1:]
        platform.changes.append({})
        await refresh(rig)
        assert [rig.cache.contains(key) for key in keys] == ["no", "yes", "yes"]


@pytest.mark.usefixtures("voicemails")
async def test_a_deleted_message_keeps_its_cached_content_while_it_can_be_restored(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        key, *_others = await cached(rig)
        platform.remove((await rig.messages())[0].id, "Deleted")
        await refresh(rig)
        assert rig.cache.contains(key) == "yes"
