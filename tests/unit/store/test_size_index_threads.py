"""Sizes are asked for and summed at the same time, as a mount does; in a process, for it may hang."""

import subprocess
import sys
import textwrap
from pathlib import Path

WITHIN_S = 60.0
"""Longest run, in seconds; it takes one."""

ASKING = textwrap.dedent("""
    import sys, threading
    from pathlib import Path
    from rcfs.model import AttachmentKey
    from rcfs.store import SizeIndex

    sizes = SizeIndex.open(Path(sys.argv[1]), warn=sys.exit)
    keys = [AttachmentKey("400131", 101, number, number) for number in range(300)]
    for key in keys:
        sizes.record(key, 7)
    totals = []

    def sum_up():
        for _ in range(100):
            totals.append(sizes.total("400131"))

    thread = threading.Thread(target=sum_up)
    thread.start()
    while thread.is_alive():
        assert all(sizes.size(key) == 7 for key in keys)
    thread.join()
    assert set(totals) == {(2100, "")}, set(totals)
    sizes.close()
    print("done")
""")


def test_sizes_are_asked_for_while_they_are_summed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKING, str(tmp_path / "index.sqlite")],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
