"""The threads of a mount share few heaps; in a process, for which it is decided once."""

import subprocess
import sys
import textwrap

ALLOCATING = textwrap.dedent("""
    import ctypes, threading
    from rcfs.host import share_heaps

    share_heaps()
    all_there = threading.Barrier(12)

    def allocate():
        all_there.wait()
        held = [bytearray(100_000) for _ in range(20)]
        all_there.wait()
        del held

    threads = [threading.Thread(target=allocate) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ctypes.CDLL(None).malloc_stats()
""")


def test_threads_share_two_heaps() -> None:
    command = [sys.executable, "-c", ALLOCATING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 1 <= done.stderr.count("Arena ") <= 2, done.stderr
