"""Copies of a tree that is made to break names, on real exFAT and NTFS."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from rcfs.model import Attachment, Extension, Filter, Message, Party
from rcfs.pull import Copy, Walk
from rcfs.tree import Directory, Link, Root, build_root
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.searches import PlainSearches
from tests.mount.conftest import run

pytestmark = pytest.mark.mount

ACCOUNT = "400123"
TOOLS = {
    "exfat": ("mkfs.exfat", "mount.exfat-fuse", "losetup"),
    "ntfs": ("mkntfs", "lowntfs-3g"),
}
NAMES = [
    *(f"x{character}y" for character in '"*/:<>?\\|\x01\x7f\u200b\ufe0f\ue000'),
    "con", "CON", "aux.txt", "NUL.", "com\u00b9", "lpt1 .jpg", "dot.",
    "space ", "Stra\u00dfe", "STRASSE", "k\u0131z", "KIZ",
    "\u00e9" * 200, "\U0001f600" * 100, "Cafe\u0301", "caf\u00e9", "\u0301x", "conin$", "...", "\u3164",
]  # fmt: skip


@pytest.fixture(params=TOOLS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An empty disk of that kind, which refuses what Windows refuses."""
    missing = [tool for tool in TOOLS[request.param] if which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    image, path = tmp_path / "image", tmp_path / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    device = ""
    if request.param == "exfat":
        run(["mkfs.exfat", str(image)])
        attached = run(["losetup", "--find", "--show", str(image)], check=False)
        if attached.returncode:
            pytest.skip(f"needs a loop device: {attached.stderr.strip()}")
        device = attached.stdout.strip()
    try:
        if request.param == "exfat":
            run(["mount.exfat-fuse", device, str(path)])
        else:
            run(["mkntfs", "-F", "-Q", "-q", str(image)])
            run(["lowntfs-3g", "-o", "windows_names,ignore_case", str(image), str(path)])
        try:
            yield path
        finally:
            run(["umount", str(path)])
    finally:
        if device:
            run(["losetup", "--detach", device])


@pytest.fixture(scope="module")
def root() -> Root:
    root = build_root(
        [Extension(5, "", "con"), Extension(6, "", "CON.")], fallback_s=0, searches=PlainSearches([])
    )
    catalogue = PlainCatalogue()
    root.extension(5).show(catalogue)
    root.extension(6).show(PlainCatalogue())
    for number, name in enumerate(NAMES, start=1):
        sent = (Attachment(n, "MmsAttachment", "image/jpeg", file_name=f"{name}.jpg") for n in (2, 3))
        catalogue.put(
            Message(
                number,
                type="SMS",
                sender=Party(name, "" if number % 3 else name),
                created_s=1793726825.0 + number,
                subject=name,
                conversation_id=str(number),
                attachments=(Attachment(1, "AudioRecording", "audio/wav"), *sent),
            )
        )
    catalogue.put(Message(9000, type="con"))
    return root


def copied(root: Root, path: Path) -> tuple[int, list[str]]:
    """(how many files were written, what the copy notes), of a copy of the whole tree."""
    written = 0
    with Copy.open(path, ACCOUNT) as copy:
        for entry in Walk(root, [()], Filter()):
            if isinstance(entry.node, Directory):
                copy.sweep(entry.parts)
                copy.make_directory(entry.parts)
            elif isinstance(entry.node, Link):
                copy.link(entry.parts, entry.node.target)
            elif not copy.is_sound(entry.parts):
                copy.write(entry.parts, entry.node.times().mtime_s, entry.path.encode())
                written += 1
        return written, copy.notes


def test_every_name_can_be_copied_and_a_second_copy_writes_nothing(root: Root, disk: Path) -> None:
    target = disk / "copy"
    written, notes = copied(root, target)
    assert written > 3 * len(NAMES)
    assert copied(root, target) == (0, notes), "each file is a file of its own, and found again"
    modes = [path.lstat().st_mode for path in target.rglob("*")]
    links = sum(map(stat.S_ISLNK, modes))
    assert sum(map(stat.S_ISREG, modes)) == written + 1
    assert bool(links) != any("holds no links" in note for note in notes)
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=target, check=False).returncode == 0
    assert not list(target.rglob(".rcfs-*"))
