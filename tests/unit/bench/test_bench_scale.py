import json
import time
from contextlib import closing
from pathlib import Path

import pytest
from bench._material import ACCOUNT_ID, Material
from bench._scale_material import CHANGES_PER_MAILBOX, INDEX, account_of, filled, login_of, write_platform
from bench._scale_results import ScaleFigures, ScaleResults, scale_table

from rcfs.mailbox import Intake, Shelving
from rcfs.platform import sync_answer
from rcfs.store import MailboxIndex
from rcfs.tree import name_folder, shelve

ORIGIN = "http://127.0.0.1:40001"


def test_a_filled_index_is_one_that_was_used_a_moment_ago(tmp_path: Path) -> None:
    account = account_of(600, 3)
    index = filled(account, tmp_path / "kept")
    assert sum(index.mailboxes.values()) == 600
    assert set(index.mailboxes) == {str(extension.id) for extension in account.extensions}
    filled_at = (index.folder / INDEX).stat().st_mtime_ns
    assert filled(account, tmp_path / "kept") == index
    assert (index.folder / INDEX).stat().st_mtime_ns == filled_at, "it is filled once"
    records = write_platform(account, Material(tmp_path / "served", (), ()), "scale", ORIGIN, changes=True)
    login = login_of("app", "jwt", ORIGIN)
    index.copy_to(tmp_path / "state", login, records)
    with closing(MailboxIndex.open(tmp_path / "state" / INDEX, pytest.fail)) as copy:
        seen = copy.reader.login(login)
        assert seen is not None
        assert seen.extensions == records
        assert copy.reader.counts(str(ACCOUNT_ID)) == {
            int(name): size for name, size in index.mailboxes.items()
        }
        for extension in account.extensions:
            told = json.loads((tmp_path / f"served/scale/sync-{extension.id}.json").read_text("utf-8"))
            state = copy.reader.mailbox(str(ACCOUNT_ID), extension.id)
            assert state is not None
            assert state.loaded
            changes = sync_answer(told).records
            assert len(changes) == CHANGES_PER_MAILBOX
            taken = Intake(copy, Shelving(shelve, name_folder), time.time).take_changes(state.number, changes)
            assert taken.unclear == (), "no message must be read for it"
        grown = copy.reader.counts(str(ACCOUNT_ID))
        assert {grown[int(name)] - size for name, size in index.mailboxes.items()} == {3}


def test_the_table_has_a_column_for_each_size(tmp_path: Path) -> None:
    sizes = [
        ScaleFigures(messages=messages, intake_s=messages / 5000, intake_cpu_s=1.0, index_bytes=2_000_000)
        for messages in (10_000, 1_000_000)
    ]
    sizes[0].find_cold, sizes[0].find_warm = 5000.0, 6000.4
    results = ScaleResults({"machine": "2 cores", "commit": ""}, sizes)
    (tmp_path / "scale.json").write_text(results.to_json(), encoding="utf-8")
    assert ScaleResults.load(tmp_path / "scale.json") == results
    lines = scale_table(results).splitlines()
    assert "| messages | 10,000 | 1,000,000 |" in lines
    assert "| `find`, entries/s (cold / warm) | 5,000 / 6,000 | 0 / 0 |" in lines
    assert "| taking in the records, s (CPU s) | 2 (1) | 200 (1) |" in lines
    assert "| index on the disk, MB | 2 | 2 |" in lines
    assert lines[-1] == "Conditions: machine: 2 cores."
