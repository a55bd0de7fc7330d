"""Telling persons, programs that walk through files, and crawlers from each other."""

import os

import attrs
import pytest
import structlog

from rcfs.errors import BudgetError
from rcfs.files._readers import CRAWLERS, FILE_MANAGERS, CrawlerPolicy, CrawlerRule, Reader, Readers
from rcfs.model import AttachmentKey, Priority
from rcfs.quota import Opener
from rcfs.transport import Recorder
from tests.fakes.askers import Somebody

KEY = AttachmentKey("1", 2, 3, 4)


def test_names_of_crawlers_are_as_the_kernel_keeps_them() -> None:
    parts = [part for name in CRAWLERS | FILE_MANAGERS for part in name.split("/")]
    assert all(0 < len(part) <= 15 for part in parts)


def reader(pid: int, name: str) -> Reader:
    return Reader(name, Opener((pid,), session=pid))


def test_a_crawler_is_refused_and_others_become_bulk() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    with pytest.raises(BudgetError, match="tumblerd"):
        readers.priority(reader(1, "tumblerd"), KEY, "Fax", 0.0)
    assert [readers.priority(reader(2, "cp"), KEY, "Fax", float(now)) for now in range(6)] == [
        Priority.PERSON
    ] * 4 + [Priority.BULK] * 2
    assert readers.priority(reader(3, "cp"), KEY, "Fax", 6.0) is Priority.PERSON


def test_only_a_person_looks_around() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    names = {1: "tumblerd", 2: "cp", 3: "thunar"}
    askers = {number: Somebody(reader(number, name)) for number, name in names.items()}
    for now in range(6):
        readers.priority(reader(2, "cp"), KEY, "Fax", float(now))  # It has become bulk,
    assert [readers.looks_around(askers[number], 6.0) for number in (1, 2, 3)] == [False, False, True]
    assert [readers.looks_around(askers[3], now) for now in (7.0, 35.9, 36.1)] == [False, False, True]
    assert readers.looks_around(askers[2], 70.0), "and by now it may be somebody's again."


def test_names_of_crawlers_are_cut_as_the_kernel_cuts_them() -> None:
    assert CrawlerRule.of(None, ()).names == CRAWLERS
    also = CrawlerRule.of(None, ["ffmpegthumbnailer", "my-indexer-of-everything"]).names
    assert also - CRAWLERS == {"my-indexer-of-e"}
    assert CrawlerRule.of([], ["a"]).names == {"a"}
    split = CrawlerRule.of(["fourteen-bytes" + "ü"], ()).names
    assert split == {b"fourteen-bytes\xc3".decode("utf-8", "replace")}


def test_a_thread_of_a_program_may_be_a_crawler() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    manager = Reader("pcmanfm", Opener((1,)), "loader")
    with pytest.raises(BudgetError):
        readers.priority(manager, KEY, "SMS", 0.0)
    copying = attrs.evolve(manager, thread="pool-pcmanfm")
    assert readers.priority(copying, KEY, "SMS", 0.1) is Priority.PERSON
    own = CrawlerRule.of([], ["a-long-name-of-a-program/and-of-a-thread"])
    assert own.names == {"a-long-name-of-/and-of-a-thread"}


@pytest.mark.parametrize("name", ["kioworker", "kioslave5"])
def test_a_program_that_makes_thumbnails_or_copies_is_told_by_its_plug_in(name: str) -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    found = {
        plugin: Reader(name, Opener((plugin,)), plugin=plugin)
        for plugin in ("thumbnail.so", "kio_file.so", "")
    }
    with pytest.raises(BudgetError):
        readers.priority(found.pop("thumbnail.so"), KEY, "SMS", 0.0)
    for other in found.values():
        assert readers.priority(other, KEY, "SMS", 0.1) is Priority.PERSON
        with pytest.raises(BudgetError):
            Readers(Recorder(structlog.get_logger()), CrawlerRule.of([], [name])).priority(
                other, KEY, "SMS", 0.0
            )


def test_a_file_manager_that_looks_for_the_type_of_a_file_is_a_crawler() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    for name in ("thunar", "nemo"):
        with pytest.raises(BudgetError):
            readers.priority(reader(1, name), KEY, "SMS", 0.0, flags=os.O_NOATIME)
        assert readers.priority(reader(1, name), KEY, "SMS", 0.0) is Priority.PERSON, "it copies"
    # Programs that make backups read so what they keep.
    assert readers.priority(reader(2, "borg"), KEY, "SMS", 0.0, flags=os.O_NOATIME) is Priority.PERSON


def test_a_program_is_a_crawler_right_after_its_thumbnailer_was_refused() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    other = attrs.evolve(KEY, message_id=99)
    nemo = Reader("nemo", Opener(((5, 1),)), "pool-nemo", "", ((5, 1), (1, 0)))
    thumbnailer = Reader("gdk-pixbuf-thum", Opener(((6, 1),)), "", "", ((6, 1), (5, 1), (1, 0)))
    viewer = Reader("xviewer", Opener(((7, 1),)), "", "", ((7, 1), (5, 1), (1, 0)))
    with pytest.raises(BudgetError):
        readers.priority(thumbnailer, KEY, "SMS", 0.0)
    with pytest.raises(BudgetError):
        readers.priority(nemo, KEY, "SMS", 0.1)
    # Another file, another program and a later time: each of these opens is a person's.
    assert readers.priority(nemo, other, "SMS", 0.2) is Priority.PERSON
    assert readers.priority(viewer, KEY, "SMS", 0.2) is Priority.PERSON
    assert readers.priority(nemo, KEY, "SMS", 2.2) is Priority.PERSON
    for number in range(1000):
        with pytest.raises(BudgetError):
            readers.priority(thumbnailer, attrs.evolve(KEY, message_id=number), "SMS", 3.0)
    assert len(readers._refused) == 256


def test_a_crawler_may_be_let_in_last() -> None:
    rule = CrawlerRule.of([], ["scanner"], CrawlerPolicy.LOWEST)
    readers = Readers(Recorder(structlog.get_logger()), rule)
    assert [readers.priority(reader(1, "scanner"), KEY, "Fax", float(now)) for now in range(9)] == [
        Priority.CRAWLER
    ] * 9
    assert readers.priority(reader(2, "tumblerd"), KEY, "Fax", 0.0) is Priority.PERSON, (
        "the usual list was replaced"
    )
