"""Background tasks survive answers that make no sense, and ask again."""

import pytest
import trio

from rcfs.transport import Recorder, keep_going
from tests.fakes.rig import Rig, noise
from tests.fakes.scripted import PLATFORM, Reply, ScriptedPlatform
from tests.scenario.conftest import OpenRig

DEEP = '{"id":5,"deep":' + "[" * 980 + "]" * 980 + "}"


def moved(target: str) -> Reply:
    return Reply(302, headers={"Location": target})


def extensions(records: str, following: str = "") -> Reply:
    navigation = f'{{"nextPage":{{"uri":"{following}"}}}}' if following else "{}"
    return Reply(200, f'{{"records":[{records}],"navigation":{navigation}}}'.encode())


ODD: list[tuple[str, Reply, bool]] = [
    ("readAccountInfo", moved("https://://["), False),
    ("readAccountInfo", moved("https://xn--a/"), False),
    ("readAccountInfo", Reply(200, b'{"id":400123,"name":"half \\ud800"}'), True),
    ("readAccountInfo", Reply(200, b'{"id":' + b"9" * 5000 + b"}"), False),
    ("readExtension", Reply(200, b'{"id":9223372036854775808,"name":"x"}'), True),
    ("listExtensions", extensions('{"id":101}', f"{PLATFORM}/\\\\ud800".replace("\\\\", "\\")), False),
    ("listExtensions", extensions('{"id":101},{"id":9223372036854775808},{"id":7,"name":"\\udfff"}'), True),
    ("listExtensions", extensions('{"id":101},' + DEEP), True),
    ("listExtensions", extensions('{"id":101},{"id":3,"number":NaN}'), True),
    ("listExtensions", Reply(200, b"[" * 100_000), False),
    (
        "listExtensions",
        Reply(200, b'{"records":[{"id":101}]}', {"Set-Cookie": "\x01=; Max-Age=9e9"}),
        True,
    ),
    ("getToken", Reply(200, b'{"access_token":"\\ud800"}'), False),
]


@pytest.mark.parametrize(
    ("operation", "reply", "understood"), ODD, ids=[f"{i}-{o[0]}" for i, o in enumerate(ODD)]
)
async def test_the_account_task_survives_an_odd_answer(
    platform: ScriptedPlatform, new_rig: OpenRig, operation: str, reply: Reply, understood: bool
) -> None:
    platform.admin = True
    platform.extensions = [{"id": 101, "name": "Jane"}]
    async with new_rig():
        pass
    attempts = 2 if operation != "getToken" else 5
    platform.script(operation, *[reply] * (1 if understood else attempts))
    async with new_rig() as rig:
        await trio.sleep(100)
        assert (len(rig.engine.recorder.faults) == 0) == understood
        assert 101 in {extension.id for extension in rig.engine.account.extensions}
        data = noise(1000)
        assert await rig.read(rig.wanted(1, data)) == data, "the mount goes on"


async def test_probing_survives_an_odd_answer(platform: ScriptedPlatform, rig: Rig) -> None:
    platform.away = [PLATFORM]
    wanted = rig.wanted(1, noise(10))
    with pytest.raises(Exception, match="cannot connect"):
        await rig.read(wanted)
    platform.script("probe", moved("https://://["))
    platform.away = ()
    await trio.sleep(60)
    assert rig.engine.network.state == "up"


async def test_a_failed_task_restarts_after_growing_pauses() -> None:
    begun: list[float] = []
    logged: list[tuple[str, str]] = []

    class Logger:
        def error(self, event: str, exc_info: Exception) -> None:
            logged.append((event, type(exc_info).__name__))
            raise OSError(28, "the disk is full")

    async def job() -> None:
        await trio.lowlevel.checkpoint()
        begun.append(trio.current_time())
        if len(begun) < 9:
            raise ZeroDivisionError

    start_s = trio.current_time()
    await keep_going(Recorder(Logger()), "job", job)  # type: ignore[arg-type]
    assert [at_s - start_s for at_s in begun] == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert logged == [("job", "ZeroDivisionError")] * 8
