"""The official JavaScript SDK against the simulator, unmodified; skipped where node or the SDK is missing.

npm fetches the package into pytest's cache, once.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.simulated import start

PACKAGE = "@ringcentral/sdk@5.0.11"
SCRIPT = Path(__file__).with_name("sdk_session.cjs")
INSTALL_S = 120.0
"""Longest wait for npm, in seconds; it takes two with a registry near by."""
SESSION_S = 120.0
"""Longest wait for the session, in seconds; it takes three, one of them for a Retry-After."""


@pytest.fixture(scope="module")
def package(request: pytest.FixtureRequest) -> Path:
    """The directory where node finds the SDK."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    assert request.config.cache is not None
    folder = request.config.cache.mkdir("npm-" + PACKAGE.rpartition("@")[2])
    if not (folder / "node_modules/@ringcentral/sdk/package.json").exists():
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install {PACKAGE} within {INSTALL_S:.0f} s")
        if done.returncode:
            reasons = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            pytest.skip(f"npm cannot install {PACKAGE}: {', '.join(reasons[:3])}")
    return folder / "node_modules"


@pytest.fixture(scope="module")
def session(package: Path) -> dict[str, Any]:
    """The SDK's results, and the expected ones: ``truth``."""
    with start("--messages=190", "--limit=light=1000", "--limit=medium=1000") as simulated:
        done = subprocess.run(
            ["node", str(SCRIPT)],
            env={**os.environ, **simulated.environment(), "NODE_PATH": str(package)},
            capture_output=True,
            text=True,
            timeout=SESSION_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        truth = {(row["message_id"], row["attachment_id"]): row["sha256"] for row in simulated.truth()}
        return {**json.loads(done.stdout), "truth": truth, "journal": simulated.journal()}


def test_it_logs_in_refreshes_and_logs_out(session: dict[str, Any]) -> None:
    assert session["refreshed"] is True
    assert [e["status"] for e in session["journal"] if e["group"] == "auth"] == [200, 200, 200]


def test_it_follows_pages(session: dict[str, Any]) -> None:
    ids = [record["id"] for record in session["records"]]
    assert len(set(ids)) == len(ids) > 30


def test_it_reads_in_bulk(session: dict[str, Any]) -> None:
    first, second = session["records"][:2]
    assert session["bulk"]["status"] == 207
    statuses, bodies = zip(*session["bulk"]["parts"], strict=True)
    assert statuses == (200, 404, 200)
    assert (bodies[0], bodies[2]) == (first, second)


def test_it_downloads_contents_byte_by_byte(session: dict[str, Any]) -> None:
    contents = session["contents"]
    assert {"AudioRecording", "RenderedDocument", "MmsAttachment", "Text"} <= {c["type"] for c in contents}
    for content in contents:
        assert content["sha256"] == session["truth"][content["message"], content["attachment"]]


def test_it_updates_and_deletes(session: dict[str, Any]) -> None:
    assert session["change"] == {"readStatus": ["Unread", "Read"], "status": 204, "availability": "Deleted"}


def test_it_waits_out_a_429(session: dict[str, Any]) -> None:
    assert session["limit"] == {"waits": [[429, 1000]], "status": 200}
    refused, repeated = [e for e in session["journal"] if e["operation"] == "readExtension"]
    assert (refused["status"], repeated["status"]) == (429, 200)
    assert repeated["time_s"] - refused["time_s"] >= 1
    assert not repeated["in_penalty"]
