"""Faults of the platform during a fetch, through a real mount: the bytes are still right."""

import contextlib
import hashlib
import os
from typing import Any

import pytest

from tests.mount.conftest import Mounted, Mounting, sha256
from tests.mount.test_mount_seeks import ACCOUNT, large_fax

pytestmark = pytest.mark.mount

LIBERTIES: list[tuple[str, dict[str, Any], int]] = [
    ("reset", {}, 2),
    ("reset_body", {"at_byte": 20_000}, 2),
    ("truncate", {"at_byte": 20_000}, 2),
    ("unasked_partial", {"first_bytes": 30_000}, 2),
    ("chunked", {}, 1),
    ("gzip", {}, 1),
    ("expired_token", {}, 2),
    ("status", {"status": 503}, 2),
    ("html", {"status": 502}, 2),
    ("redirect", {"to": "media"}, 2),
    ("trickle", {}, 1),
]
"""(what happens to the first request, how, requests that the content then takes)."""


@pytest.fixture(scope="module")
def truth(shared_mount: Mounted) -> dict[int, str]:
    """SHA-256 of every voicemail by message id."""
    rows = shared_mount.server.truth()
    return {row["message_id"]: row["sha256"] for row in rows if row["kind"] == "AudioRecording"}


@pytest.mark.parametrize(("kind", "options", "requests"), LIBERTIES, ids=[kind for kind, _, _ in LIBERTIES])
def test_a_liberty_of_the_platform_is_survived(
    shared_mount: Mounted, truth: dict[int, str], kind: str, options: dict[str, Any], requests: int
) -> None:
    mount = shared_mount
    place = [name for name, _, _ in LIBERTIES].index(kind)
    folders = sorted(path.parent for path in mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    folder = folders[place]
    message_id = int(folder.name.rpartition("[")[2].rstrip("]"))
    mount.server.reset_journal()
    mount.server.fault(kind, operation="readMessageContent", **options)
    try:
        assert sha256(next(folder.glob("voicemail *"))) == truth[message_id]
    finally:
        mount.server.clear_faults()
    sent = [entry for entry in mount.server.journal() if entry["operation"] == "readMessageContent"]
    assert len(sent) == requests
    assert all(not entry["in_penalty"] for entry in sent)


def test_a_refusal_for_quota_is_waited_out(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--limit=medium=1000/2/2", "--limit=light=1000/2/2")
    path = next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    mount.server.reset_journal()
    mount.server.fault("rate_limited", operation="readMessageContent", retry_after_s=2)
    assert path.read_bytes()
    sent = [entry for entry in mount.server.journal() if entry["operation"] == "readMessageContent"]
    assert len(sent) == 2
    # The subscription to hints, which is of the same group, may be on its way when the refusal comes.
    assert not any(entry["in_penalty"] for entry in sent)


def test_a_fault_that_stays_is_an_error_and_heals(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--limit=medium=1000", options=("--max-wait=5",))
    path = next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    mount.server.fault("status", status=500, operation="readMessageContent", count=None)
    with pytest.raises(OSError, match=r"timed out|Input/output"):
        path.read_bytes()
    mount.server.clear_faults()
    assert path.read_bytes(), "nothing about the failure is remembered"


def test_a_fax_still_being_made_is_busy_and_then_there(mounting: Mounting) -> None:
    mount = mounting("--messages=300", "--limit=medium=1000")
    path = next(mount.path.glob("101 */Fax/*/*/fax *.pdf"))
    mount.server.fault("not_ready", operation="readMessageContent")
    with pytest.raises(OSError, match="busy"):
        path.read_bytes()
    assert path.read_bytes().startswith(b"%PDF")


def test_a_large_fax_is_read_while_it_arrives(mounting: Mounting) -> None:
    mount = mounting(ACCOUNT, "--limit=medium=1000")
    row, path = large_fax(mount)
    mount.server.fault("stall", operation="readMessageContent", at_byte=6 << 20, for_s=10.0)
    with path.open("rb") as file:
        beginning = file.read(1 << 20)
        assert os.getxattr(path, "user.rcfs.cached") == b"partial"
        digest = hashlib.sha256(beginning)
        while data := file.read(1 << 16):
            digest.update(data)
    assert digest.hexdigest() == row["sha256"]
    assert mount.server.summary()["content_requests"] == 1


def test_several_readers_of_one_arriving_content_share_it(mounting: Mounting) -> None:
    mount = mounting(ACCOUNT, "--limit=medium=1000")
    row, path = large_fax(mount)
    mount.server.fault("stall", operation="readMessageContent", at_byte=3 << 20, for_s=2.0)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for _ in range(3)]
        digests = [hashlib.sha256() for _ in files]
        for position in range(0, row["size_bytes"], 1 << 18):
            for file, digest in zip(files, digests, strict=True):
                file.seek(position)
                digest.update(file.read(1 << 18))
    assert {digest.hexdigest() for digest in digests} == {row["sha256"]}
    assert mount.server.summary()["content_requests"] == 1
