"""One budget for all processes of a login: a mount, a doctor beside it, and the mount after a kill -9."""

import json
import os
import signal

from tests.mount.conftest import Mounted, Mounting, right_clock, run


def used(mounted: Mounted, group: str) -> int:
    document = json.loads((mounted.path / ".rcfs" / "status.json").read_text())
    return next(int(row["used"]) for row in document["quota"] if row["group"] == group)


def test_a_doctor_beside_a_mount_and_the_next_mount_know_what_was_spent(mounting: Mounting) -> None:
    # A window that is longer than this test, on whatever machine.
    mounted = mounting("--messages=20", "--limit=auth=5/600/60", "--limit=light=50/600/60", right_clock())
    assert used(mounted, "auth") == 1
    light = used(mounted, "light")
    mounted.rcfs("doctor", *mounted.engine_options)
    assert used(mounted, "auth") == 1, "it tries the session of the mount"
    assert used(mounted, "light") > light
    chart = (mounted.path / ".rcfs" / "quota").read_text()
    assert "1 of 5 used in 10 min" in chart
    assert max(map(len, chart.splitlines())) <= 80

    os.kill(mounted.pid, signal.SIGKILL)
    run(["fusermount3", "-u", "-z", str(mounted.path)])
    mounted.mount()
    sent = [entry["operation"] for entry in mounted.server.journal()]
    assert used(mounted, "auth") == 1 + sent.count("authWsToken"), sent
    assert sent.count("getToken") == 1, "the next mount goes on with the session of the one that was killed"
    assert "revokeToken" not in sent
    assert mounted.server.summary()["limited"] == 0
