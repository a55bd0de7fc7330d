"""fsspec's own tests of filesystems, those that read; their files are there already."""

from collections.abc import Callable, Iterator
from hashlib import md5
from typing import Any

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from rcfs.spec import RcfsFileSystem
from tests.fakes.fsspec_tree import filesystem

SUBDIR = {"subfile1": b"", "subfile2": b"", "nesteddir": {"nestedfile": b""}}
TREE = {
    "bulk": {"file1": b"", "file2": b"", "subdir": SUBDIR},
    "glob": {"file1": b"", "file2": b"", "subdir0": SUBDIR, "subdir1": SUBDIR},
    "src": {"file": b""},
    "same": {"subdir.txt": b"", "subdir": {"subfile.txt": b""}},
    "hashed": {f"{md5(b'%d' % n).hexdigest()}.txt": b"%d" % n for n in range(10)},
}


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls) -> Iterator[RcfsFileSystem]:
        with filesystem(TREE) as fs:
            yield fs

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *names: "/".join(names)

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def local_path(self, tmp_path: Any) -> str:
        return str(tmp_path)

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self) -> str:
        return "bulk"

    @pytest.fixture
    def fs_glob_edge_cases_files(self) -> str:
        return "glob"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self) -> str:
        return "same"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self) -> str:
        return "hashed"

    def test_get_directory_recursive(
        self,
        fs: Any,
        fs_join: Any,
        fs_path: Any,
        local_fs: Any,
        local_join: Any,
        local_target: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("mkdir", "touch"):  # It is there already.
            monkeypatch.setattr(fs, name, lambda path: None)
        super().test_get_directory_recursive(fs, fs_join, fs_path, local_fs, local_join, local_target)
