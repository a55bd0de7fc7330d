"""How an engine starts and ends."""

import json

import pytest
import trio

from rcfs.errors import AuthError, ForbiddenError, MountError, ServerError, TransportError
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import End, Reply, ScriptedPlatform, Unreachable
from tests.fakes.status import status_document
from tests.scenario.conftest import HEADERS_WITHIN_S, OpenRig

DATA = noise(500_000)
LOGIN = "getToken"
FETCH = "readMessageContent"


async def _start(new_rig: OpenRig, **options: str) -> None:
    async with new_rig(**options):
        pytest.fail("it must not start")


async def test_a_start_is_a_login_and_two_requests(rig: Rig) -> None:  # noqa: ASYNC124 - its fixture awaits
    assert [seen.operation for seen in rig.platform.seen] == [LOGIN, "readAccountInfo", "readExtension"]
    account = rig.engine.account
    assert (account.id, account.name) == ("400123", "Example Ltd")
    assert [(extension.id, extension.name) for extension in account.extensions] == [(101, "Jane")]


@pytest.mark.parametrize("admin", [True, None])
async def test_an_admin_sees_all_extensions_each_once(
    platform: ScriptedPlatform, new_rig: OpenRig, admin: bool | None
) -> None:
    platform.admin = admin
    second = "https://platform.ringcentral.com/restapi/v1.0/account/~/extension?page=2&perPage=1000"
    platform.script(
        "listExtensions",
        Reply.of_json({"records": [{"id": 1}, {"id": 2}], "navigation": {"nextPage": {"uri": second}}}),
        Reply.of_json({"records": [{"id": 2}, {"no": "id"}, {"id": 3}], "navigation": {}}),
    )
    async with new_rig() as rig:
        assert [extension.id for extension in rig.engine.account.extensions] == [1, 2, 3]
        first, following = platform.sent("listExtensions")
        assert first.query == {"perPage": ["1000"]}
        assert following.url == second


async def test_an_unreachable_server_is_reported_within_seconds(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.script(LOGIN, *[Unreachable.REFUSED] * 9)
    with pytest.raises(TransportError, match=r"cannot connect to platform\.ringcentral\.com"):
        await _start(new_rig)
    assert platform.times(LOGIN) == [0.0, 2.0]
    assert trio.current_time() == 2.0


async def test_a_server_that_never_answers_is_given_up(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.script(LOGIN, *[Unreachable.SILENT] * 9)
    with pytest.raises(TransportError, match="no answer in time"):
        await _start(new_rig)
    assert trio.current_time() == 2 * HEADERS_WITHIN_S + 2


@pytest.mark.parametrize("wrong", ["secret", "jwt"])
async def test_wrong_credentials_cost_one_request(
    platform: ScriptedPlatform, new_rig: OpenRig, wrong: str
) -> None:
    with pytest.raises(AuthError, match="OAU-"):
        await _start(new_rig, **{wrong: "s3cret-but-wrong"})
    assert [seen.operation for seen in platform.seen] == [LOGIN]


async def test_a_start_that_is_not_permitted_logs_out(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    platform.script("readAccountInfo", Reply.error(403, "CMN-401"))
    with pytest.raises(ForbiddenError, match="CMN-401"):
        await _start(new_rig)
    assert [seen.operation for seen in platform.seen] == [LOGIN, "readAccountInfo", "revokeToken"]


@pytest.mark.parametrize(
    "account", [{}, {"id": None}, {"id": True}, {"id": "junk"}, {"id": "../x"}, {"id": -1}, {"id": 1.5}, []]
)
async def test_an_account_without_an_id_is_a_fault(
    platform: ScriptedPlatform, new_rig: OpenRig, account: object
) -> None:
    platform.script("readAccountInfo", *[Reply.of_json(account)] * 2)
    with pytest.raises(ServerError):
        await _start(new_rig)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"id": "400123", "contact": {"company": "Contact Ltd"}, "mainNumber": "+1"}, "Contact Ltd"),
        ({"id": 400123, "name": "", "contact": [], "mainNumber": "+1"}, "+1"),
        ({"id": 400123, "name": 7}, ""),
    ],
)
async def test_the_account_is_named_after_the_company_or_its_number(
    platform: ScriptedPlatform, new_rig: OpenRig, record: object, name: str
) -> None:
    platform.script("readAccountInfo", Reply.of_json(record))
    async with new_rig() as rig:
        assert (rig.engine.account.id, rig.engine.account.name) == ("400123", name)


async def test_an_error_of_the_mount_leaves_the_engine_as_it_is(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    error = MountError("busy")
    with pytest.raises(MountError) as caught:
        async with new_rig():
            raise error
    assert caught.value is error
    assert [seen.operation for seen in platform.seen][-1] == "revokeToken"


async def test_the_end_logs_out(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    async with new_rig():
        pass
    (farewell,) = platform.sent("revokeToken")
    assert farewell.form == {"token": "s3cret-access-1"}
    assert platform.live_tokens == set()


@pytest.mark.parametrize(
    "answer", [Unreachable.SILENT, Unreachable.RESET, Reply.error(500), Reply.error(429)]
)
async def test_a_failed_logout_is_no_error_and_takes_seconds_at_most(
    platform: ScriptedPlatform, new_rig: OpenRig, answer: Reply | Unreachable
) -> None:
    async with new_rig() as rig:
        platform.script("revokeToken", answer)
    assert rig.now <= 8
    assert len(platform.sent("revokeToken")) == 1


async def test_the_end_cancels_fetches_before_it_logs_out(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        platform.script(FETCH, Reply.sized(DATA, pieces=[DATA[:9], DATA[9:]], gap_s=20))
        platform.script(FETCH, Unreachable.SILENT, Reply.error(502))
        contents = [await rig.open(rig.wanted(number, DATA)) for number in range(60)]
        platform.script("listMessages", Unreachable.SILENT)
        with trio.move_on_after(1):
            await rig.mailbox()
        # Without an order, the retry of the third would fall into the farewell.
        platform.script("revokeToken", Reply(delay_s=4))
    assert platform.seen[-1].operation == "revokeToken"
    assert {content.complete or content.failure is not None for content in contents} == {True}
    # `open_rig` has checked that nothing of it was unexpected.


async def test_the_status_is_json_without_secrets(rig: Rig) -> None:
    await rig.read(rig.wanted(1, DATA))
    await rig.read(rig.wanted(1, DATA))
    await rig.mailbox()
    text = json.dumps(await status_document(rig.engine))
    assert "s3cret" not in text
    status = json.loads(text)
    assert status["account"] == {"id": "400123", "name": "Example Ltd"}
    assert status["requests"] == {
        "sent": 6,
        "refused": 0,
        "by_group": {"auth": 1, "light": 4, "medium": 1},
        "content": 1,
        "by_outcome": {"auth": {"ok": 1}, "light": {"ok": 4}, "medium": {"ok": 1}},
    }
    assert status["mailboxes"] == {"loaded": 1, "known": 1, "messages": 0, "off_because": None}
    assert status["queue"] == []
    assert sum(sum(each["counts"]) for each in status["waits"]) == 6, "each request waited once"
    assert status["traffic"] == {"received_bytes": len(DATA), "read_bytes": 0}
    assert {entry["group"]: entry["used"] for entry in status["quota"]} == {
        "light": 4,
        "medium": 1,
        "heavy": 0,
        "auth": 1,
    }
    assert status["cache"]["contents"] == 1


async def test_a_body_that_breaks_at_the_end_is_not_logged(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    async with new_rig() as rig:
        platform.script(FETCH, Reply.sized(DATA[:9], len(DATA), end=End.STALL))
        content = await rig.open(rig.wanted(1, DATA))
        await content.wait_for(0, 9)
        assert content.read(0, 9) == DATA[:9]
        rig.engine.library.release(content)
    assert content.failure is not None
