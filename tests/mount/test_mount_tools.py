"""Standard tools through a real mount: every byte, and one request for each attachment."""

import json
import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import UNASKED, Mounted, mounts, run, sha256

pytestmark = pytest.mark.mount

Truth = dict[tuple[int, int], dict[str, Any]]


@pytest.fixture(scope="module")
def shared_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount that can be read as a whole again and again."""
    with mounts(tmp_path_factory.mktemp("tools")) as make:
        yield make("--messages=200", "--limit=medium=100000", "--limit=light=100000")


@pytest.fixture(scope="module")
def truth(shared_mount: Mounted) -> Truth:
    """The simulator's data of each attachment, by message and attachment id."""
    rows = {(row["message_id"], row["attachment_id"]): row for row in shared_mount.server.truth()}
    assert len(rows) > 150
    return rows


def test_each_attachment_is_read_right_with_one_request_ever(
    shared_mount: Mounted, truth: Truth, tmp_path: Path
) -> None:
    mount = shared_mount
    mount.empty_cache()
    mount.server.reset_journal()
    mount.tool("ls", "-lR", check=False)  # one mailbox is refused, which is not what this test is about
    listing = mount.server.summary()
    assert listing["content_requests"] == 0

    mount.server.reset_journal()
    found = mount.attachments()
    missing = [key for key, row in truth.items() if row["kind"] != "Text" and key not in found]
    assert missing == []
    wrong = [key for key, path in found.items() if sha256(path) != truth[key]["sha256"]]
    assert wrong == []
    assert [key for key, path in found.items() if path.stat().st_size != truth[key]["size_bytes"]] == []
    contents = mount.contents()  # recordings and greetings, too
    for path in contents.values():
        path.read_bytes()
    _assert_thrifty(mount, contents=len(contents))

    # Everything that copies, searches or packs finds the same bytes, and costs nothing more.
    mount.server.reset_journal()
    extension = next(path for path in sorted(mount.path.iterdir()) if path.name.startswith("101 "))
    copies = tmp_path / "cp"
    mount.tool("cp", "-r", extension.name, str(copies))
    mount.tool("rsync", "-a", f"{extension.name}/", str(tmp_path / "rsync"))
    mount.tool("tar", "cf", str(tmp_path / "all.tar"), extension.name)
    (tmp_path / "tar").mkdir()
    run(["tar", "xf", str(tmp_path / "all.tar"), "-C", str(tmp_path / "tar")])
    run(["diff", "-r", "--no-dereference", str(extension), str(copies)])
    run(["diff", "-r", "--no-dereference", str(extension), str(tmp_path / "rsync")])
    run(["diff", "-r", "--no-dereference", str(extension), str(tmp_path / "tar" / extension.name)])
    mount.tool("grep", "-r", "-c", "Hello", extension.name, check=False)
    _assert_thrifty(mount, contents=0)

    mount.remount()
    mount.server.reset_journal()
    again = mount.attachments()
    assert {key: sha256(path) for key, path in again.items()} == {key: truth[key]["sha256"] for key in found}
    _assert_thrifty(mount, contents=0)


def test_texts_are_exact_and_cost_nothing(shared_mount: Mounted, truth: Truth) -> None:
    mount = shared_mount
    mount.tool("ls", "-R", check=False)
    mount.server.reset_journal()
    texts = {
        json.loads((path.parent / "message.json").read_text())["id"]: path
        for view in ("SMS", "Pager", "Trash")
        for path in mount.path.glob(f"*/{view}/**/text.txt")
    }
    compared = 0
    for (message_id, _attachment_id), row in truth.items():
        if row["kind"] == "Text" and message_id in texts:
            assert sha256(texts[message_id]) == row["sha256"]
            compared += 1
    assert compared > 100
    conversations = list(mount.path.glob("*/Conversations/*/conversation.txt"))
    assert all(path.read_text().strip() for path in conversations)
    assert conversations
    assert {entry["operation"] for entry in mount.server.journal()} <= {"syncMessages", *UNASKED}


def test_media_open_in_the_programs_made_for_them(shared_mount: Mounted) -> None:
    mount = shared_mount
    wav = next(mount.path.glob("*/Voicemail/*/*/voicemail *.wav"))
    with wave.open(str(wav)) as sound:
        assert sound.getnframes() / sound.getframerate() >= 3
        assert len(set(sound.readframes(8000))) > 10, "not silence"
    faxes = sorted(mount.path.glob("*/Fax/*/*/fax *.pdf"), key=lambda path: path.stat().st_size)
    text = run(["pdftotext", str(faxes[0]), "-"]).stdout
    message = json.loads((faxes[0].parent / "message.json").read_text())
    assert str(message["id"]) in text
    kinds: Counter[str] = Counter()
    for pattern in ("*/Voicemail/*/*/voicemail *.*", "*/Fax/*/*/fax *.*", "*/SMS/*/*/*"):
        paths = [str(path) for path in mount.path.glob(pattern) if path.suffix not in (".json", ".txt")]
        lines = run(["file", "--brief", "--mime-type", *paths]).stdout.splitlines()
        kinds.update(lines)
    assert {"audio/x-wav", "application/pdf", "image/jpeg", "image/gif", "video/mp4"} <= set(kinds)


def _assert_thrifty(mount: Mounted, *, contents: int) -> None:
    summary = mount.server.summary()
    assert summary["content_requests"] == summary["distinct_contents"] == contents
    violations = {name: summary[name] for name in ("limited", "in_penalty", "duplicates_in_flight", "heads")}
    assert not any(violations.values()), violations
