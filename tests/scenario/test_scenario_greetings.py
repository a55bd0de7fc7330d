"""Greetings and prompts: looked up once a day, never by themselves, and why some lists do not exist."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from rcfs.errors import ForbiddenError, PlatformError
from rcfs.mailbox import GreetingsChanged, State
from rcfs.model import COMPANY
from rcfs.status import render_status, status_from_json
from tests.fakes.call_rig import CallWorld, open_calls
from tests.fakes.status import status_document

RULES, COMPANY_RULES, RULE = "listAnsweringRules", "listCompanyAnsweringRules", "readCompanyAnsweringRule"
GREETING, DICTIONARY, PROMPTS = "readCustomGreeting", "listStandardGreetings", "listIVRPrompts"
ALL = (RULES, COMPANY_RULES, RULE, GREETING, DICTIONARY, PROMPTS)
DAY_S = 86_400.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CallWorld]:
    async with open_calls(tmp_path) as world:
        yield world


async def test_an_extension_s_greetings_are_those_of_its_rules(world: CallWorld) -> None:
    owner = world.extensions[0]
    book = world.backend.greetings
    async with world.engine() as rig:
        greetings = rig.engine.account.greetings
        assert greetings.greetings(owner) is None
        await rig.engine.account.open_collection(f"greetings/{owner}")
        found = greetings.greetings(owner)
        assert found is not None
        assert greetings.greetings(owner) is found, "the same tuple until something changes"
        rules = [rule for rule in book.rules if rule.extension_id == owner]
        assert [each.id for each in found] == [str(each.id) for rule in rules for each in rule.greetings]
        assert {each.rule for each in found} == {rule.name for rule in rules}
        own = {str(each.id): each for each in book.customs() if each.extension_id == owner}
        recorded = {each.id: each for each in found if not each.preset}
        assert recorded.keys() == own.keys()
        for greeting_id, greeting in recorded.items():
            assert greeting.content_type == own[greeting_id].media.content_type
            assert greeting.uri.endswith(f"/greeting/{greeting_id}/content")
        assert [each.operation for each in world.sent(*ALL)] == [RULES] + [GREETING] * len(own)
        assert world.heavy() == []


async def test_the_company_s_greetings_come_with_the_dictionary(world: CallWorld) -> None:
    book = world.backend.greetings
    async with world.engine() as rig:
        greetings = rig.engine.account.greetings
        await rig.engine.account.open_collection("greetings/company")
        found, standard = greetings.greetings(COMPANY), greetings.standard()
        assert found is not None
        assert standard is not None
        rules = [rule for rule in book.rules if rule.extension_id is None]
        assert [each.id for each in found] == [str(each.id) for rule in rules for each in rule.greetings]
        assert [each.id for each in standard] == [str(each.id) for each in book.presets]
        assert [each.operation for each in world.sent(*ALL)] == [COMPANY_RULES] + [RULE] * len(rules) + [
            DICTIONARY
        ]


async def test_the_prompts_are_all_there(world: CallWorld) -> None:
    async with world.engine() as rig:
        await rig.engine.account.open_collection("prompts/company")
        prompts = rig.engine.account.greetings.prompts()
        assert prompts is not None
        assert [each.id for each in prompts] == [str(each.id) for each in world.backend.prompts.prompts]
        assert [each.operation for each in world.sent(*ALL)] == [PROMPTS]


async def test_a_list_is_looked_up_once_a_day_and_only_by_a_look(world: CallWorld) -> None:
    collection = f"greetings/{world.extensions[1]}"
    async with world.engine() as rig:
        await rig.engine.account.open_collection(collection)
        for _hour in range(23):
            await trio.sleep(3600)
            rig.engine.account.visit(collection)
        assert len(world.sent(RULES)) == 1
        await trio.sleep(2 * DAY_S)
        assert len(world.sent(RULES)) == 1
        rig.engine.account.visit(collection)
        rig.engine.account.visit(collection)
        await trio.sleep(10)
        assert len(world.sent(RULES)) == 2
        await rig.engine.account.refresh_collection(collection)
        assert len(world.sent(RULES)) == 3
    async with world.engine(offline=True) as rig:
        await rig.engine.account.open_collection(collection)
        assert rig.engine.account.greetings.greetings(world.extensions[1])
    async with world.engine() as rig:
        await rig.engine.account.open_collection(collection)
        rig.engine.account.visit(collection)
        await trio.sleep(10)
        assert len(world.sent(RULES)) == 3, "also after a remount"


async def test_a_changed_list_is_told(world: CallWorld) -> None:
    collection = "prompts/company"
    async with world.engine() as rig:
        await rig.engine.account.open_collection(collection)
        rig.heard.clear()
        await rig.engine.account.refresh_collection(collection)
        assert rig.heard == []
        prompts = world.backend.prompts
        prompts.prompts = prompts.prompts[1:]
        await rig.engine.account.refresh_collection(collection)
        assert rig.heard == [GreetingsChanged(collection)]
        found = rig.engine.account.greetings.prompts()
        assert found is not None
        assert len(found) == len(prompts.prompts)


async def test_the_new_call_handling_is_an_empty_list_with_a_reason(tmp_path: Path) -> None:
    async with open_calls(tmp_path, new_call_handling=True) as world:
        collection = f"greetings/{world.extensions[0]}"
        async with world.engine() as rig:
            account = rig.engine.account
            await account.open_collection(collection)
            assert account.collections.state(collection) is State.ABSENT
            assert account.greetings.greetings(world.extensions[0]) == ()
            document = await status_document(rig.engine)
            (absent,) = document["greetings"]["absent"]
            assert absent["collection"] == collection
            assert "CMN-468" in absent["because"]
            text = render_status(status_from_json(document))
            assert f"no {collection}: the account has the new call handling" in text
        async with world.engine() as rig:
            await rig.engine.account.open_collection(collection)
            assert len(world.sent(RULES)) == 1
            await trio.sleep(DAY_S + 1)
            world.backend.new_call_handling = False
            await rig.engine.account.open_collection(collection)
            assert rig.engine.account.greetings.greetings(world.extensions[0])
            assert len(world.sent(RULES)) == 2


async def test_a_refusal_is_no_empty_list(tmp_path: Path) -> None:
    missing = ["ReadCompanyGreetings"]
    async with open_calls(tmp_path, missing_permissions=missing) as world, world.engine() as rig:
        for _attempt in range(2):
            with pytest.raises(ForbiddenError):
                await rig.engine.account.open_collection("prompts/company")
        assert rig.engine.account.greetings.prompts() is None
        assert len(world.sent(PROMPTS)) == 1


async def test_a_greeting_whose_record_is_gone_keeps_its_place(world: CallWorld) -> None:
    owner = world.extensions[0]
    async with world.engine() as rig:
        world.platform.fault("status", operation=GREETING, status=404, count=None)
        await rig.engine.account.open_collection(f"greetings/{owner}")
        found = rig.engine.account.greetings.greetings(owner)
        assert found
        assert {each.content_type for each in found} == {""}


async def test_an_outage_leaves_the_list_as_it_was(world: CallWorld) -> None:
    collection = f"greetings/{world.extensions[0]}"
    async with world.engine() as rig:
        await rig.engine.account.open_collection(collection)
        known = rig.engine.account.greetings.greetings(world.extensions[0])
        world.platform.fault("status", operation=RULES, status=500, count=None)
        with pytest.raises(PlatformError):
            await rig.engine.account.refresh_collection(collection)
        assert rig.engine.account.greetings.greetings(world.extensions[0]) == known
