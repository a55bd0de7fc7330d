"""Calls, recordings, greetings and prompts of the simulator: the requests, and the contents they lead to."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import structlog
import trio

from rcfs.content import Library, PlatformSource, Storage
from rcfs.errors import ForbiddenError, NotFoundError, PlatformError
from rcfs.model import (
    Call,
    CompanyGreetingKey,
    ContentKey,
    Greeting,
    GreetingKey,
    Plan,
    Priority,
    PromptKey,
    Record,
    RecordingKey,
    StandardGreetingKey,
    UsageGroup,
    Wanted,
    call_from,
    greeting_with_content,
    greetings_from,
    prompt_from,
    standard_greeting_from,
)
from rcfs.platform import (
    AllowedHosts,
    CallSyncAnswer,
    Client,
    Credentials,
    Request,
    call_sync_answer,
    is_call_token_invalid,
    is_missing_scope,
    is_new_call_handling,
    list_answering_rules,
    list_calls,
    list_prompts,
    list_standard_greetings,
    read_company_rule,
    read_greeting,
    sync_calls,
)
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.store import ContentCache, SizeIndex
from rcfs.transport import PagedList, Recorder, Requester, RequestOptions, open_connection
from tests.fakes.ledgers import InMemory
from tests.fakes.simulated import in_process, logged_in

PLENTY = {UsageGroup(group): Plan(limit=10_000) for group in ("auth", "light", "medium", "heavy")}
CONFIG = SimulatorConfig(AccountSpec(messages=20, extensions=6), plans=PLENTY, calls=40)
OPTIONS = RequestOptions(Priority.PERSON)
LONG_AGO_S = 1_000_000_000.0


async def pass_over(_key: ContentKey, _text: bytes) -> None:
    """Gets the texts, which these tests do not need."""


@attrs.frozen
class Rig:
    """A login at a simulator."""

    simulator: Simulator
    requester: Requester
    library: Library
    http: httpx.AsyncClient
    """The simulator's own interface."""

    async def all(self, first: Request) -> list[Record]:
        """All records of a list."""
        pages = PagedList(self.requester, first, OPTIONS)
        found: list[Record] = []
        while (page := await pages.page()) is not None:
            found += page
        return found

    async def read(self, request: Request) -> dict[str, Any]:
        """The object that answers a request."""
        return await self.requester.read(request, lambda document: document, OPTIONS)

    async def calls(self) -> dict[str, Call]:
        """All calls of the account, by their ids."""
        records = await self.all(list_calls(None, LONG_AGO_S))
        return {call.id: call for call in map(call_from, records) if call is not None}

    async def sync(self, **fields: Any) -> CallSyncAnswer:
        """The answer to a sync of the account's calls."""
        return await self.requester.read(sync_calls(None, **fields), call_sync_answer, OPTIONS)

    async def tell(self, path: str, **body: Any) -> Any:
        """The answer of the simulator's own interface."""
        answer = (await self.http.post(f"/simulator/{path}", json=body)).raise_for_status()
        return answer.json() if answer.content else None

    async def truth(self, kind: str) -> dict[str, str]:
        """SHA-256 of the contents of a kind, by their ids."""
        answer = await self.http.get("/simulator/truth/media", params={"kind": kind})
        return {str(row["id"]): row["sha256"] for row in map(json.loads, answer.text.splitlines())}

    async def digest(self, wanted: Wanted) -> str:
        """SHA-256 of a content that is fetched now."""
        content = await self.library.look(wanted)
        try:
            self.library.fetch(content, Priority.BULK, "cp")
            await content.wait_complete()
            return hashlib.sha256(content.read(0, content.arrived)).hexdigest()
        finally:
            self.library.release(content)

    def sent(self, operation: str) -> Sequence[Any]:
        """The journal's entries of an operation."""
        return self.simulator.journal.entries(operation=operation)


@asynccontextmanager
async def opened(directory: Path, **settings: Any) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        config = attrs.evolve(CONFIG, **settings)
        simulator, endpoints = await stack.enter_async_context(in_process(config))
        http = await stack.enter_async_context(logged_in(endpoints))
        hosts = AllowedHosts(endpoints.platform_url, endpoints.media_url)
        recorder = Recorder(structlog.testing.CapturingLogger())
        connection = await stack.enter_async_context(
            open_connection(
                Client(hosts, user_agent="rcfs/test"),
                Credentials(endpoints.client_id, endpoints.client_secret, endpoints.jwt),
                InMemory(PLENTY, directory).open("me"),
                recorder,
            )
        )
        cache = ContentCache.open(directory / "cache", free_floor_bytes=0, warn=pytest.fail)
        sizes = SizeIndex.open(directory / "sizes.sqlite", pytest.fail)
        stack.enter_context(closing(cache))
        stack.enter_context(closing(sizes))
        nursery = await stack.enter_async_context(trio.open_nursery())
        storage = Storage(cache, sizes, recorder, nursery, on_text=pass_over)
        source = PlatformSource(connection.requester, recorder)
        library = Library(source, storage, recorder, nursery, now_s=lambda: 1_764_000_000.0)
        yield Rig(simulator, connection.requester, library, http)
        library.forget_idle()
        nursery.cancel_scope.cancel()


async def test_the_calls_of_an_account_and_of_an_extension(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=400) as rig:
        calls = await rig.calls()
        assert len(calls) == 400
        assert all(call.whole.started_s and call.modified_s and call.legs for call in calls.values())
        assert any(len(call.recorded_legs) == 2 for call in calls.values()), "after a transfer"
        (asked,) = rig.sent("readCompanyCallLog")
        assert asked.group == "heavy"
        mine = rig.simulator.account.extensions[0].id
        records = await rig.all(list_calls(mine, LONG_AGO_S))
        assert {str(record["id"]) for record in records} == {
            call.id for call in calls.values() if mine in call.extension_ids
        }
        middle = sorted(call.whole.started_s or 0 for call in calls.values())[20]
        half = await rig.all(list_calls(None, LONG_AGO_S, middle))
        assert len(half) == 21, "the end is included"


async def test_a_sync_brings_changes_deletions_and_a_new_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        first = await rig.sync(since_s=rig.simulator.account.spec.end_s - 86_400)
        assert first.is_complete
        mine = rig.simulator.account.extensions[0].id
        made = await rig.tell("call", extension_id=mine, log_after_s=0, recording_after_s=0)
        second = await rig.sync(token=first.token)
        (call,) = map(call_from, second.records)
        assert call is not None
        assert (call.id, call.deleted) == (made["id"], False)
        assert [leg.recording.id for leg in call.recorded_legs if leg.recording] == [
            str(each) for each in made["recording_ids"]
        ]
        await rig.http.delete(f"/restapi/v1.0/account/~/extension/{mine}/call-log")
        third = await rig.sync(token=second.token)
        gone = [call_from(record) for record in third.records]
        assert made["id"] in {each.id for each in gone if each is not None and each.deleted}


@pytest.mark.parametrize("code", ["CLG-101", "CLG-102", "CLG-103", "CLG-104", "CLG-105"])
async def test_a_log_that_was_reset_needs_a_new_token(tmp_path: Path, code: str) -> None:
    async with opened(tmp_path, calls=0) as rig:
        token = (await rig.sync()).token
        await rig.tell("reset-call-logs", code=code)
        with pytest.raises(PlatformError) as refused:
            await rig.sync(token=token)
        assert refused.value.code == code
        assert is_call_token_invalid(refused.value)
        assert (await rig.sync(token=(await rig.sync()).token)).is_complete


async def test_too_many_changes_need_a_new_token(tmp_path: Path) -> None:
    async with opened(tmp_path, calls=0) as rig:
        token = (await rig.sync()).token
        for _ in range(251):
            await rig.tell("call", extension_id=rig.simulator.account.extensions[0].id, log_after_s=0)
        with pytest.raises(PlatformError) as refused:
            await rig.sync(token=token)
        assert is_call_token_invalid(refused.value)
        assert not (await rig.sync()).is_complete


async def test_what_a_login_may_not_is_told_apart(tmp_path: Path) -> None:
    async with opened(tmp_path / "a", missing_permissions=frozenset({"FullCompanyCallLog"})) as rig:
        with pytest.raises(ForbiddenError) as refused:
            await rig.calls()
        assert refused.value.code == "CMN-408"
        assert await rig.all(list_calls(rig.simulator.account.extensions[0].id, LONG_AGO_S))
    async with opened(tmp_path / "b", missing_scopes=frozenset({"ReadCallLog"})) as rig:
        with pytest.raises(ForbiddenError) as refused:
            await rig.calls()
        assert is_missing_scope(refused.value)
    async with opened(tmp_path / "c", new_call_handling=True) as rig:
        with pytest.raises(ForbiddenError) as refused:
            await rig.all(list_answering_rules(rig.simulator.account.extensions[0].id))
        assert is_new_call_handling(refused.value)


async def test_recordings_are_at_the_uri_of_the_record_one_heavy_request_each(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        truth = await rig.truth("Recording")
        found = {}
        legs = [leg for call in (await rig.calls()).values() for leg in call.recorded_legs]
        for leg in legs[:6]:
            assert leg.recording is not None
            key = RecordingKey("1", leg.recording.id)
            found[leg.recording.id] = await rig.digest(Wanted(key, leg.recording.uri))
        assert {recording: truth[recording] for recording in found} == found
        sent = rig.sent("readCallRecordingContent")
        assert [(entry.group, entry.origin) for entry in sent] == [("heavy", "media")] * len(found)


async def test_a_recording_on_a_foreign_host_is_asked_of_the_server_and_spoils_no_other(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, calls=0) as rig:
        mine = rig.simulator.account.extensions[0].id
        kept = await rig.tell("call", extension_id=mine, log_after_s=0, recording_after_s=0)
        lost = await rig.tell("call", extension_id=mine, log_after_s=0, recording_after_s=0)
        truth = await rig.truth("Recording")
        for made in (kept, lost):
            foreign = {"recording": {"contentUri": "https://files.example.net/recording.mp3"}}
            await rig.tell("call/rewrite", call_id=made["id"], fields=foreign, leg_fields=foreign)
        (gone_id,) = lost["recording_ids"]
        await rig.tell("recording/delete", recording_id=gone_id, still_named=True)
        for made, calls in ((kept, await rig.calls()), (lost, await rig.calls())):
            (leg,) = calls[made["id"]].recorded_legs
            assert leg.recording is not None
            assert leg.recording.uri == "https://files.example.net/recording.mp3", "as given"
            key = RecordingKey(str(rig.simulator.account.account_id), leg.recording.id)
            if made is lost:
                with pytest.raises(NotFoundError):
                    await rig.digest(Wanted(key, leg.recording.uri))
            else:
                assert await rig.digest(Wanted(key, leg.recording.uri)) == truth[leg.recording.id]
        assert [entry.origin for entry in rig.sent("readCallRecordingContent")] == ["platform"] * 2


async def test_the_greetings_of_extensions_have_their_media_type_and_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        truth, seen = await rig.truth("Greeting"), set()
        for extension in rig.simulator.account.extensions:
            if extension.mailbox_refused:
                continue
            for rule in await rig.all(list_answering_rules(extension.id)):
                for greeting in greetings_from(rule):
                    if greeting.preset:
                        continue
                    told = greeting_with_content(
                        greeting, await rig.read(read_greeting(extension.id, greeting.id))
                    )
                    assert told.content_type in ("audio/mpeg", "audio/wav")
                    key = GreetingKey(str(rig.simulator.account.account_id), extension.id, told.id)
                    for uri in (told.uri, ""):
                        digest = await rig.digest(Wanted(key, uri, told.content_type))
                        assert digest == truth[greeting.id]
                    seen.add(greeting.id)
        assert len(seen) > 3


async def test_the_greetings_of_the_company_come_with_each_rule(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        truth, found = await rig.truth("CompanyGreeting"), dict[str, str]()
        for rule in await rig.all(list_answering_rules(None)):
            assert greetings_from(rule) == ()
            for greeting in greetings_from(await rig.read(read_company_rule(rule["id"]))):
                key = CompanyGreetingKey(str(rig.simulator.account.account_id), greeting.id)
                if not greeting.preset:
                    found[greeting.id] = await rig.digest(Wanted(key))
        assert found == truth
        assert {entry.group for entry in rig.sent("readCompanyAnsweringRule")} == {"light"}


async def test_presets_lie_outside_the_api_and_count_as_the_keys_say(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        truth, found = await rig.truth("StandardGreeting"), dict[str, str]()
        presets = [standard_greeting_from(record) for record in await rig.all(list_standard_greetings())]
        silent = [preset for preset in presets if preset is not None and not preset.uri]
        assert silent
        for preset in presets:
            if preset is not None and preset.uri:
                key = StandardGreetingKey("1", preset.id)
                found[preset.id] = await rig.digest(Wanted(key, preset.uri))
        assert found == truth
        entries = [entry for entry in rig.simulator.journal.entries() if "/restapi" not in entry.path]
        content = [entry for entry in entries if entry.operation == "presetContent"]
        assert [(entry.group, entry.has_token) for entry in content] == [("medium", True)] * len(found)
        ids = {preset.id: preset for preset in presets if preset is not None}
        rules = await rig.all(list_answering_rules(rig.simulator.account.extensions[0].id))
        named: list[Greeting] = [each for rule in rules for each in greetings_from(rule) if each.preset]
        assert named
        assert all((ids[each.id].name, ids[each.id].type) == (each.name, each.type) for each in named)


async def test_prompts_with_hostile_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as rig:
        truth = await rig.truth("IvrPrompt")
        prompts = [prompt_from(record) for record in await rig.all(list_prompts())]
        assert len(prompts) == 18
        found = {}
        for prompt in prompts:
            assert prompt is not None
            found[prompt.id] = await rig.digest(
                Wanted(PromptKey("1", prompt.id), prompt.uri, prompt.content_type)
            )
        assert found == truth
        names = {prompt.file_name for prompt in prompts if prompt is not None}
        assert {"", "..", "../../etc/passwd"} <= names
