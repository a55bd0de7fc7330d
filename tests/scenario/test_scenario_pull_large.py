"""The forecast of a large pull by exports: requests and hours, against one request each."""

from pathlib import Path

from rcfs.model import DAY_S
from rcfs.pull import Days, Scope, Via, choose_way
from rcfs.simulator import AccountSpec
from tests.fakes.call_rig import open_calls

COUNT, EACH_BYTES, MONTHS = 600_000, 300_000, 24
HOUR_S = 3600.0


async def test_the_forecast_for_600000_attachments(tmp_path: Path) -> None:
    async with (
        open_calls(tmp_path, spec=AccountSpec(messages=0), calls=0) as calls,
        calls.engine(exports=True) as rig,
    ):
        now_s, days, since = calls.now_s, Days(), MONTHS * 30
        for number in range(COUNT):
            created_s = now_s - (1 + number % since) * DAY_S
            days.note(created_s, "Fax", EACH_BYTES, is_missing=True)
        scope = Scope(0.0, now_s)
        way = choose_way(rig.engine, days, COUNT, via=Via.AUTO, scope=scope, exports=())
        assert (way.via, way.by_exports) == (Via.EXPORTS, COUNT)
        assert way.other_s is not None
        assert 245 * HOUR_S < way.other_s < 260 * HOUR_S, "forty a minute"
        # Nearly all of it is the assumed line: 180 GB at 10 MB/s.
        assert way.left_s < 6 * HOUR_S
        assert 180 <= way.archives <= 200
        assert len(way.periods) <= 12
        assert str(way).startswith("via exports: 1")
        assert "instead of 10 d" in str(way)
        assert calls.heavy() == []
