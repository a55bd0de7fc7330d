import json
from pathlib import Path

import attrs
import pytest
from bench._material import NEEDLE, FileSet, Material, Recordings, Texts
from bench._measure import run_script
from bench._mirror import write_mirror
from bench._nginx import AccessLog, Origin, config
from bench._peers import PeerError
from bench._plan import Layout, Plan, quick

from rcfs.model import Extension, call_from, extension_from, message_from
from rcfs.platform import next_page_url, records_of
from rcfs.tree import AttachmentFile, Directory, build_root, shelve_call, shown_extensions
from tests.fakes.catalogue import PlainCatalogue

ORIGIN = "http://127.0.0.1:40001"


@pytest.fixture
def plan() -> Plan:
    return attrs.evolve(
        quick(),
        small=FileSet("small", 101, 7, 300, 3),
        media=FileSet("media", 102, 2, 400, 2),
        large=FileSet("large", 103, 1, 500, 1),
        recording=Recordings("recording", 105, 1, 600, 1),
        recordings=Recordings("recordings", 106, 3, 200, 3),
        walks=(Texts(104, 1200),),
    )


@pytest.fixture
def material(plan: Plan, tmp_path: Path) -> Material:
    made = Material(tmp_path, plan.sets, plan.walks, (plan.recording, plan.recordings))
    made.write_files()
    made.write_records("api", ORIGIN)
    return made


def test_files_have_their_size_and_end_with_the_needle(plan: Plan, material: Material) -> None:
    for files in (*plan.sets, plan.recording, plan.recordings):
        for index in range(files.count):
            data = material.files.joinpath(files.peer_path(index)).read_bytes()
            assert len(data) == files.size_bytes
            assert data.startswith(b"%PDF-1.4\n")
            assert data.endswith(f"\n{NEEDLE}\n".encode())
            content = material.folder / "content" / str(files.message_id(index))
            assert content.read_bytes() == data


def test_the_tree_that_rcfs_makes_of_the_records_has_the_paths_of_the_layout(
    plan: Plan, material: Material
) -> None:
    records = material.folder / "api"
    extensions = json.loads(records.joinpath("extensions-1.json").read_text())
    found = [extension for extension in map(extension_from, records_of(extensions)) if extension]
    root = build_root(tuple(found), fallback_s=0.0)
    for extension in found:
        messages = []
        for path in sorted(records.glob(f"messages-{extension.id}-*.json")):
            messages += [message_from(record) for record in records_of(json.loads(path.read_text()))]
        catalogue = PlainCatalogue("4000004")
        catalogue.put(*(message for message in messages if message))
        root.extension(extension.id).show(catalogue)

    layout = Layout(is_rcfs=True)
    for files in plan.sets:
        for index in range(files.count):
            node = _node(root, layout.file(files, index))
            assert isinstance(node, AttachmentFile)
            assert node.attachment.uri == f"{ORIGIN}{_content_path(files, index)}"
    (texts,) = plan.walks
    months = _node(root, layout.folder(texts))
    assert isinstance(months, Directory)
    assert sum(len(_entries(month)) for month in months.entries().values()) == texts.count


def test_the_recordings_that_rcfs_makes_of_the_call_log_have_the_paths_of_the_layout(
    plan: Plan, material: Material
) -> None:
    records = records_of(json.loads((material.folder / "api" / "calls-1.json").read_text()))
    context = shown_extensions(
        [Extension(105, "105", "recording"), Extension(106, "106", "recordings")], _none
    )
    calls = [call for call in map(call_from, records) if call is not None]
    assert len(calls) == 4
    found = {}
    for call in calls:
        (recording,) = shelve_call(call, context).recordings
        directory = context.directories[recording.owner]
        found[f"{directory}/Recordings/{recording.month}/{recording.name}"] = recording.uri
    layout, account = Layout(is_rcfs=True), f"{ORIGIN}/restapi/v1.0/account/4000004"
    assert found == {
        layout.recording(files, index): f"{account}/recording/{files.message_id(index)}/content"
        for files in (plan.recording, plan.recordings)
        for index in range(files.count)
    }


def test_the_mirror_is_the_tree_of_the_texts(tmp_path: Path) -> None:
    texts = Texts(104, 5)

    write_mirror(texts, ORIGIN, tmp_path / "mirror")

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["message.json"] * 5 + ["text.txt"] * 5
    assert all(NEEDLE in path.read_text() for path in files)
    assert f" [{texts.message_id(4)}]" in "".join(path.parent.name for path in files)


def test_lists_lead_from_page_to_page(material: Material) -> None:
    first = json.loads((material.folder / "api" / "messages-104-1.json").read_text())
    last = json.loads((material.folder / "api" / "messages-104-2.json").read_text())

    assert next_page_url(first).startswith(f"{ORIGIN}/restapi/v1.0/account/")
    assert next_page_url(first).endswith("/extension/104/message-store?perPage=1000&page=2")
    assert next_page_url(last) == ""
    assert (len(records_of(first)), len(records_of(last))) == (1000, 200)


def test_the_configuration_has_a_server_for_each_origin(material: Material, tmp_path: Path) -> None:
    origins = [Origin("api", ORIGIN, 40001), Origin("json", ORIGIN, 40002, "json")]

    text = config(tmp_path, material, origins)

    assert text.count("{") == text.count("}")
    assert "listen 127.0.0.1:40001;" in text
    assert "autoindex_format json;" in text
    assert f"root {tmp_path}/api;" in text


def test_the_log_gives_each_request_once(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("api GET 200 /a\n")
    log = AccessLog(path)

    assert log.take() == ["api GET 200 /a"]
    with path.open("a") as file:
        file.write("api GET 206 /b\napi HEAD 200 /c\n")
    assert log.take() == ["api GET 206 /b", "api HEAD 200 /c"]
    assert log.take() == []


def test_a_script_gives_what_it_prints_or_says_why_not(tmp_path: Path) -> None:
    assert run_script('pwd; echo "$NAME"', tmp_path, {"NAME": "a b"}, 10)[1] == f"{tmp_path}\na b"
    with pytest.raises(PeerError, match="exit 3: no good"):
        run_script("echo no good >&2; exit 3", tmp_path, {}, 10)
    with pytest.raises(PeerError, match="not done within 0 s"):
        run_script("sleep 60", tmp_path, {}, 0.1)
    with pytest.raises(PeerError, match="exit"):
        run_script("true", tmp_path / "missing", {}, 10)


def _none(_extension_id: int, _message_id: int) -> None:
    """There is no message."""


def _content_path(files: FileSet, index: int) -> str:
    number = files.message_id(index)
    mailbox = f"/restapi/v1.0/account/4000004/extension/{files.extension_id}/message-store"
    return f"{mailbox}/{number}/content/{number}"


def _node(root: Directory, path: str) -> object:
    node: object = root
    for name in path.split("/"):
        node = _entries(node)[name]
    return node


def _entries(node: object) -> dict[str, object]:
    assert isinstance(node, Directory)
    return dict(node.entries())
