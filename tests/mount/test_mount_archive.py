"""`--keep-purged`: what RingCentral purges stays in the mount, as long as nobody says otherwise."""

import errno
import json
import os
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounting

pytestmark = pytest.mark.mount


def purged(mount: Mounted) -> dict[int, Path]:
    """The directories of the messages that are shown as purged, by id."""
    folders = mount.path.glob("101 */Purged/*")
    return {int(os.getxattr(folder, "user.rcfs.message_id")): folder for folder in folders}


def voicemail(folder: Path) -> Path:
    (path,) = folder.glob("voicemail *")
    return path


def test_an_archive_keeps_purged_messages(mounting: Mounting) -> None:
    mount = mounting("--messages=50", "--limit=auth=1000", mount=False)
    mount.rcfs("mount", *mount.options, "--keep-purged", str(mount.path))
    mailbox = next(mount.path.glob("101 *"))
    extension_id = int(json.loads((mailbox / "extension.json").read_text())["id"])
    read, cold = (mount.server.arrive(extension_id, "VoiceMail") for _number in range(2))
    mount.rcfs("refresh", str(mailbox / "Voicemail"))
    (home,) = mailbox.glob(f"Voicemail/*/* [[]{read}[]]")
    heard = voicemail(home).read_bytes()
    for message_id in (read, cold):
        path = f"extension/{extension_id}/message-store/{message_id}"
        mount.server.api("DELETE", path, params={"purge": "true"})
    mount.rcfs("refresh", str(mailbox))
    mount.server.reset_journal()

    shown = purged(mount)
    assert set(shown) == {read, cold}
    assert not home.exists()
    assert os.getxattr(shown[read], "user.rcfs.availability") == b"Purged"
    assert json.loads((shown[read] / "message.json").read_text())["availability"] == "Purged"
    assert voicemail(shown[read]).read_bytes() == heard
    with pytest.raises(OSError, match="No data available") as refused:
        voicemail(shown[cold]).read_bytes()
    assert refused.value.errno == errno.ENODATA
    assert mount.server.journal(operation="readMessageContent") == []

    mount.remount()  # which does not say it again
    assert voicemail(purged(mount)[read]).read_bytes() == heard
    assert set(purged(mount)) == {read, cold}
    assert mount.server.journal(operation="readMessageContent") == []
