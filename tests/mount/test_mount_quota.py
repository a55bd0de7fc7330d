"""One budget for all processes of a login: a mount, a doctor beside it, and the mount after a kill -9."""

import json
import os
import signal

from tests.mount.conftest import Mounted, Mounting, run


def used(mounted: Mounted, group: str) -> int:
    document = json.loads((mounted.path / ".rcfs" / "status.json").read_text())
    return next(int(row["used"]) for row in document["quota"] if row["group"] == group)


def test_a_doctor_beside_a_mount_and_the_next_mount_know_what_was_spent(mounting: Mounting) -> None:
    # A window that is longer than this test, on whatever machine.
    mounted = mounting("--messages=20", "--limit=auth=5/600/60", "--limit=light=50/600/60")
    assert used(mounted, "auth") == 1
    light = used(mounted, "light")
    mounted.rcfs("doctor", *mounted.engine_options)
    assert used(mounted, "auth") == 3
    assert used(mounted, "light") > light
    chart = (mounted.path / ".rcfs" / "quota").read_text()
    assert "3 of 5 used in 10 min" in chart
    assert max(map(len, chart.splitlines())) <= 80

    os.kill(mounted.pid, signal.SIGKILL)
    run(["fusermount3", "-u", "-z", str(mounted.path)])
    mounted.mount()
    assert used(mounted, "auth") == 4
    assert mounted.server.summary()["limited"] == 0
