"""Crawlers that a user names, as real processes."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, UNASKED, Mounted, Mounting

pytestmark = pytest.mark.mount

INDEXER = "my-indexer-of-everything"
"""Longer than what the kernel keeps of it."""


@pytest.fixture
def indexer(tmp_path: Path) -> str:
    """`cat` under the name of a crawler."""
    return shutil.copy(shutil.which("cat") or "cat", str(tmp_path / INDEXER))


def read(program: str, path: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([program, str(path)], capture_output=True, check=False, timeout=COMMAND_S)


def places(mount: Mounted) -> list[str]:
    """The options that say where a mount keeps what it has."""
    return [option for option in mount.options if option.startswith(("--cache-dir=", "--state-dir="))]


@pytest.mark.parametrize("policy", ["refuse", "lowest"])
def test_a_crawler_by_name(mounting: Mounting, indexer: str, policy: str) -> None:
    options = (f"--crawler={INDEXER}", f"--crawler-policy={policy}")
    mount = mounting("--messages=60", options=options)
    cold, other = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail*.*"))[:2]
    answer = read(indexer, cold)
    requests = mount.server.summary()["content_requests"]
    if policy == "lowest":
        assert (answer.returncode, requests) == (0, 1)
    else:
        assert (answer.returncode, requests) == (1, 0)
        assert b"busy" in answer.stderr
    expected = read("cat", cold).stdout
    assert expected
    assert read(indexer, cold).stdout == expected, "what is cached it always gets"
    assert mount.server.summary()["content_requests"] == 1
    assert read("cat", other).returncode == 0


def test_why_names_the_programs_that_spent_the_requests(mounting: Mounting, indexer: str) -> None:
    mount = mounting("--messages=60", options=(f"--crawler={INDEXER}",))
    fetched, refused = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail*.*"))[:2]
    assert read("cat", fetched).returncode == 0
    assert read(indexer, refused).returncode == 1
    requests = mount.server.summary()["content_requests"]
    options = (*places(mount), str(fetched.parent.parent.parent))
    documents = {
        document["path"]: document for document in json.loads(mount.rcfs("why", "--json", *options).stdout)
    }
    document = documents[str(fetched.relative_to(mount.path))]
    (fetch,) = document["fetches"]
    assert (fetch["program"], fetch["class"], fetch["requests"]) == ("cat", "person", 1)
    assert fetch["size_bytes"] == fetched.stat().st_size
    assert (document["cached"], document["refused"]) == ("yes", None)
    document = documents[str(refused.relative_to(mount.path))]
    assert (document["cached"], document["fetches"]) == ("no", [])
    assert document["refused"]["program"] == INDEXER[:15]
    text = mount.rcfs("why", *places(mount), str(fetched)).stdout.splitlines()
    assert text[0] == str(fetched.relative_to(mount.path))
    assert text[1].startswith("  fetched 20")
    assert " for cat (person), 1 request, " in text[1]

    # Pinning asks the mount, too.
    pinned = mount.rcfs("pin", *places(mount), str(fetched.parent), str(refused.parent)).stdout
    assert "of them new; " in pinned
    assert mount.server.summary()["content_requests"] == requests


def test_a_crawler_has_no_mailbox_loaded(mounting: Mounting, tmp_path: Path) -> None:
    """updatedb walks all trees at night, and asks for no content: a mailbox is some requests."""
    find = shutil.copy(shutil.which("find") or "find", str(tmp_path / "updatedb"))
    mount = mounting("--messages=60")
    mount.server.reset_journal()
    walk = subprocess.run([find, str(mount.path)], capture_output=True, check=False, timeout=COMMAND_S)
    assert b"busy" in walk.stderr
    assert {entry["operation"] for entry in mount.server.journal()} <= UNASKED
    mailbox = next(mount.path.glob("101 *"))
    # The first walk loads the calls, whose recordings appear in By-Contact.
    subprocess.run(["find", str(mailbox)], capture_output=True, check=True, timeout=COMMAND_S)
    expected = subprocess.run(["find", str(mailbox)], capture_output=True, check=True, timeout=COMMAND_S)
    seen = subprocess.run([find, str(mailbox)], capture_output=True, check=True, timeout=COMMAND_S)
    assert seen.stdout == expected.stdout, "what is known it sees"
