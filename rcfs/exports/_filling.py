"""Decides what becomes of each member of an archive: the part of a fill that waits for the disk.

All for one worker thread at a time.
"""

from typing import Final

from rcfs.content import Storage
from rcfs.exports._contents import ContentFiller, Sink, Target
from rcfs.exports._members import Place, content_place, records_place
from rcfs.exports._records import RecordsSink
from rcfs.exports._report import FillMark
from rcfs.exports._unzip import DamagedArchiveError, Ended, ZipReader
from rcfs.exports._zip_records import Member, Tally
from rcfs.mailbox import Mailboxes
from rcfs.model import AttachmentKey, Message, message_from
from rcfs.platform import decoded
from rcfs.store import MailboxIndex

_MOST_UNDECLARED: Final = 256 << 20
"""Largest content whose size only its end tells, in bytes: five of the largest faxes. A bomb of this kind
could otherwise fill the cache up to --max-content."""
_MOST_RECORDS: Final = 16 << 30
"""Largest list of records of a mailbox, in bytes: ten million records. They are never in memory together."""


class Filling:
    """One archive that is being taken apart."""

    def __init__(
        self,
        account_id: str,
        mailboxes: Mailboxes,
        storage: Storage,
        index: MailboxIndex,
        mark: FillMark,
        asked_s: float,
    ) -> None:
        """Begins at `mark`; the export was asked for at `asked_s`, by this machine's clock."""
        self._asked_s = asked_s
        self._account_id = account_id
        self._mailboxes = mailboxes
        self._index = index
        self._max_content_bytes = storage.max_content_bytes
        self._sizes = storage.sizes
        self.report = mark.report()
        """How far it is."""
        self.archive_bytes = mark.archive_bytes
        """Size of the archive; None while it is unknown."""
        self.mark = mark
        """Up to where everything is on the disk."""
        self._contents = ContentFiller(storage, self.report)
        self._contents.last = mark.last
        self._reader = ZipReader(
            mark.done_bytes, Tally(mark.tally_count, mark.tally_total), most_bytes=_MOST_RECORDS
        )
        self._member: Member | None = None
        self._sink: Sink | None = None
        self._numbers: dict[int, int | None] = {}
        """The number of each extension's mailbox in the index; None for a mailbox that the index lacks."""
        self._latest: tuple[int, int, Message | None] = (-1, -1, None)
        """Extension, id and message of the last look into the index."""

    @property
    def is_done(self) -> bool:
        """Whether the end of the archive has come."""
        return self._reader.is_done

    def take(self, data: bytes) -> None:
        """Takes the next bytes of the archive; what ends in them is on the disk afterwards.

        Raises:
            DamagedArchiveError: The archive cannot be read any further; what came before is on the disk.
            NoRoomError: The cache takes no more now.
            StoreError: The index fails.
        """
        try:
            for event in self._reader.feed(data):
                if isinstance(event, Member):
                    self._begin(event)
                elif isinstance(event, Ended):
                    self._end(event)
                elif self._sink is not None:
                    self._sink.write(event)
        except DamagedArchiveError as exc:
            self.abort()
            self.report.problem = str(exc)
            self._advance()
            raise
        self._advance()

    def _advance(self) -> None:
        """Stores what waits, and sets the mark behind the last member that has ended."""
        self._contents.flush()
        report, tally = self.report, self._reader.tally
        report.done_bytes, report.agrees = self._reader.finished, self._reader.agrees
        self.mark = FillMark(
            archive_bytes=self.archive_bytes,
            done_bytes=report.done_bytes,
            tally_count=tally.count,
            tally_total=tally.total,
            agrees=report.agrees,
            last=self._contents.last,
            counts=FillMark.counts_of(report),
        )

    def abort(self) -> None:
        """Ends the present member, of which no more will come."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()

    def take_arrived(self) -> list[tuple[AttachmentKey, int]]:
        """The contents that have come into the cache since the last call, with their sizes in bytes."""
        arrived, self._contents.arrived = self._contents.arrived, []
        return arrived

    def take_texts(self) -> list[tuple[AttachmentKey, bytes]]:
        """The transcripts that were filled since the last call."""
        texts, self._contents.texts = self._contents.texts, []
        return texts

    def _begin(self, member: Member) -> None:
        self._member, self._sink = member, None
        if not member.is_directory:
            extension_id = records_place(member.name, self._account_id)
            place = content_place(member.name, self._account_id)
            if extension_id is not None:
                self._sink = self._records_sink(member, extension_id)
            elif place is not None:
                self._sink = self._content_sink(member, place)
            elif not member.problem:
                self.report.note("unknown", member.name, "it is no path of a content")
        if self._sink is None:
            self._reader.skip()

    def _end(self, ended: Ended) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end(ended.problem)

    def _records_sink(self, member: Member, extension_id: int) -> Sink | None:
        if member.problem:
            self.report.note("refused", member.name, member.problem)
            return None
        numbers = self._mailboxes.begin_records(extension_id, self._asked_s)
        if numbers is None:
            self.report.present += 1  # Syncs keep the mailbox current, or it is not to be loaded.
            return None
        self._numbers.pop(extension_id, None)
        return RecordsSink(self._mailboxes, numbers, member.name, self.report)

    def _content_sink(self, member: Member, place: Place) -> Sink | None:
        message = self._message(place)
        attachment = None if message is None else place.attachment(message)
        if message is None or attachment is None:
            what = "message" if message is None else "attachment"
            self.report.note("unknown", member.name, f"rcfs knows no such {what}")
            return None
        if attachment not in message.fetched_attachments:
            self.report.present += 1  # A text, which the record has.
            return None
        key = AttachmentKey(self._account_id, place.extension_id, message.id, attachment.id)
        # The server's size wins over the record's, where a size of 0 stands for an unknown one.
        target = Target(member.name, key, attachment, self._sizes.size(key) or attachment.size_bytes or None)
        declared = member.size_bytes
        if member.problem:
            self.report.note("refused", member.name, member.problem)
        elif declared is not None and declared > self._max_content_bytes:
            self.report.note(
                "refused", member.name, f"it has {declared:,} bytes, which --max-content forbids"
            )
        elif declared is not None and target.size_bytes not in (None, declared):
            self._contents.refuse_size(target, declared)
        else:
            most = _MOST_UNDECLARED if declared is None else declared
            self._reader.limit(min(most, self._max_content_bytes))
            return self._contents.sink(target)
        return None

    def _message(self, place: Place) -> Message | None:
        """The message at a place; None if the index does not have it."""
        extension_id, message_id = place.extension_id, place.message_id
        if self._latest[:2] != (extension_id, message_id):
            number = self._number(extension_id)
            known = {} if number is None else self._index.reader.known(number, [message_id])
            raw = known.get(message_id)
            message = None if raw is None else message_from(decoded(raw, "the index"), raw)
            self._latest = extension_id, message_id, message
        return self._latest[2]

    def _number(self, extension_id: int) -> int | None:
        if extension_id not in self._numbers:
            state = self._index.reader.mailbox(self._account_id, extension_id)
            self._numbers[extension_id] = None if state is None else state.number
        return self._numbers[extension_id]
