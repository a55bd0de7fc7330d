"""The audit of an account: what the platform has, what the index knows, and what is at hand.

Concurrency: all methods run in the trio thread, one owner after the other, since the quota of the Light group
and not the latency sets the pace. Reading contents and the index happens in worker threads.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import trio

from rcfs.audit._alone import in_steps
from rcfs.audit._archive import Archive
from rcfs.audit._comparing import Comparison
from rcfs.audit._copy_audit import CopyAudit
from rcfs.audit._holdings import CacheHoldings, CopyHoldings, Holdings
from rcfs.audit._others import OtherContents
from rcfs.audit._selection import (
    ArchiveSelection,
    OwnerSelection,
    check_paths,
    of_message,
    pulled_scope,
    selections,
    unknown_paths,
)
from rcfs.audit._tally import Tally
from rcfs.audit._values import Basis, Finding, OwnerReport, State, Summary, Trouble
from rcfs.engine import Engine
from rcfs.errors import AuthError, ForbiddenError, NotFoundError, PlatformError, UnreachableError
from rcfs.files import show_mailbox, tree_of
from rcfs.model import Availability, Filter, Message, message_from
from rcfs.pull import Parts, conditions_of, covers, filter_of
from rcfs.tree import ExtensionDirectory

_ANOTHERS = "CMN-419"
"""``errorCode`` for an extension that the login may not read."""
_MESSAGES_AT_ONCE = 50
"""Messages in one call of a worker thread, for which an interrupt has to wait."""


class Audit:
    """One audit of an account; `run` it once."""

    def __init__(
        self,
        engine: Engine,
        archive: Archive | None = None,
        *,
        offline: bool = False,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
        on_owner: Callable[[OwnerReport], None] = lambda _report: None,
    ) -> None:
        """Prepares an audit.

        Args:
            engine: The account, its index and cache.
            archive: The copy to audit; None for the cache.
            offline: Whether to ask nothing of the platform: the index counts as what it has.
            on_finding: Called with each finding when it is made, in a worker thread.
            on_owner: Called with each owner when it is done, in the trio thread.
        """
        self._engine = engine
        self._archive = archive
        self._offline = offline
        self._on_owner = on_owner
        account = engine.account
        self.summary = Summary(
            begun_s=engine.wall_clock(),
            account_id=account.id,
            account=account.name,
            server=engine.client.hosts.server_url,
            compared=not offline,
            archive="" if archive is None else str(archive.path),
        )
        """The audit so far."""
        self.doing = ""
        """The step that is under way, in words."""
        self._tally = Tally(self.summary, on_finding)
        self._holdings: Holdings = (
            CacheHoldings(engine.cache, account.id) if archive is None else CopyHoldings(archive)
        )
        self._refused: set[int] = set()
        self._has_compared = False
        """Whether the platform has listed any mailbox."""

    async def run(self, paths: Sequence[Parts], wanted: Filter) -> tuple[Summary, list[Parts]]:
        """Audits what is `wanted` below `paths`; also returns the paths that lead to nothing.

        Raises:
            AuthError: The credentials are refused.
            ConfigError: One of the paths leads to links.
            StoreError: The index, or the directory of the copy, fails.
            UnreachableError: The server cannot be reached.
        """
        check_paths(paths)
        if not self._offline:
            await self._engine.account.wait_asked()
        summary, root = self.summary, tree_of(self._engine)
        own_id = self._engine.account.own_id
        summary.login = (None if own_id is None else root.name_of(own_id)) or ""
        summary.paths = tuple("/".join(path) for path in paths if path)
        summary.wanted = conditions_of(wanted)
        chosen = selections(root, paths, wanted)
        copy_audit = None
        if self._archive is not None:
            self.doing = "reading the files of the copy"
            summary.is_as_pulled = (tuple(paths), wanted) == pulled_scope(self._archive.notes.pulls)
            read = ((),) if summary.is_as_pulled else paths
            copy_audit = CopyAudit(self._archive, self._tally, ArchiveSelection(read, Filter()))
            # With another filter, only the files that it takes are read, when their messages come up.
            reads_all = summary.is_as_pulled or wanted.is_everything
            takes = None if reads_all else lambda _path, _kind, _month: False
            await in_steps(copy_audit.check_files(takes=takes))
        if self._closed and any(selection.takes_messages for selection in chosen):
            self._tally.note(Finding(Trouble.UNPROVEN, "", f"no mailbox can be read: {self._closed}"))
        others = OtherContents(
            self._engine,
            root,
            self._holdings,
            self._archive,
            copy_audit,
            self._tally,
            offline=self._offline,
            refused=self._refused,
        )
        for selection in chosen:
            directory = selection.directory
            if isinstance(directory, ExtensionDirectory):
                show_mailbox(directory, self._engine.account.mailboxes)
            report = OwnerReport(selection.owner, selection.name)
            if isinstance(directory, ExtensionDirectory) and selection.takes_messages:
                await self._audit_mailbox(selection, report)
            self.doing = f"{selection.name}: recordings and greetings"
            await in_steps(others.audit(selection, report))
            self._tally.close(report)
            self._on_owner(report)
        if self._refused and not self._has_compared:
            self._tally.note(Finding(Trouble.UNPROVEN, "", "the login may read no mailbox at all"))
        if copy_audit is not None:
            await trio.to_thread.run_sync(copy_audit.note_manifest)
        summary.limits = (*self._limits(), *others.limits())
        summary.ended_s = self._engine.wall_clock()
        return summary, unknown_paths(root, paths, chosen)

    @property
    def _closed(self) -> str:
        """Why the login may read no mailbox, as part of a sentence; empty if it may, or need not."""
        return "" if self._offline else self._engine.account.rights.no_messages

    def _limits(self) -> Iterator[str]:
        """Sentences about what the pulls of the copy have to do with what was compared."""
        pulls = () if self._archive is None else tuple(self._archive.notes.pulls)
        if not self.summary.is_as_pulled or not pulls or any(note.is_everything for note in pulls):
            return
        *earlier, last = pulls
        yield (
            "Only what the last pull was asked for was compared with RingCentral; `rcfs audit --whole` looks"
            " at the whole account."
        )
        filters = ((note, filter_of(note.wanted)) for note in earlier)
        if any(wanted is None or not covers(last, note.paths, wanted) for note, wanted in filters):
            yield (
                "Earlier pulls were asked for other things, which were not compared with RingCentral; see"
                " 'Pull' above."
            )

    async def _audit_mailbox(self, selection: OwnerSelection, report: OwnerReport) -> None:
        """Audits the messages of an extension."""
        engine, owner = self._engine, selection.owner
        if engine.account.mailboxes.is_absent(owner):
            return
        state = engine.index.reader.mailbox(engine.account.id, owner)
        number = None if state is None or not state.loaded else state.number
        self.doing = f"{selection.name}: asking the platform"
        comparison = None if self._offline else await self._compared(selection, report, number)
        selection.is_known = comparison is not None or number is not None
        if number is None:
            if comparison is None and self._offline:
                self._tally.note(
                    Finding(Trouble.NOT_LOADED, selection.name, "its messages are not known here")
                )
            elif comparison is not None and self._archive is None and report.total().messages:
                detail = f"the platform has {comparison.total} messages in it; `rcfs pull` loads them"
                self._tally.note(Finding(Trouble.NOT_LOADED, selection.name, detail))
        else:
            self.doing = f"{selection.name}: checking its messages"
            await self._check_indexed(selection, report, number, comparison)
        if comparison is not None and self._archive is not None and selection.is_whole:
            purged = await trio.to_thread.run_sync(self._archive.unwanted, owner)
            if purged:
                detail = f"messages that the copy has, and the platform has no more: {purged}"
                self._tally.note(Finding(Trouble.PURGED, selection.name, detail, purged))

    async def _compared(
        self, selection: OwnerSelection, report: OwnerReport, number: int | None
    ) -> Comparison | None:
        """The comparison with the platform; None if that failed, which is noted."""
        if self._closed:
            return None
        comparison = Comparison(self._engine, selection.owner, number, f"mailbox of {selection.name}")
        take = partial(self._check_all, selection, report, is_indexed=False)
        try:
            await comparison.run(take)
        except (AuthError, UnreachableError):
            raise
        except NotFoundError:
            if number is not None:
                self._tally.note(
                    Finding(Trouble.UNPROVEN, selection.name, "the platform knows no such mailbox")
                )
            return None
        except PlatformError as exc:
            is_closed = isinstance(exc, ForbiddenError) and exc.code == _ANOTHERS and number is None
            trouble = Trouble.REFUSED if is_closed else Trouble.UNPROVEN
            if is_closed:
                self._refused.add(selection.owner)
            self._tally.note(Finding(trouble, selection.name, str(exc)))
            return None
        finally:
            self.summary.requests += comparison.requests
        self._has_compared = True
        report.basis = comparison.basis
        report.platform_messages, report.index_messages = comparison.total, comparison.indexed
        return comparison

    async def _check_indexed(
        self, selection: OwnerSelection, report: OwnerReport, number: int, comparison: Comparison | None
    ) -> None:
        """Checks the messages of the index, page by page."""
        reader = self._engine.index.reader
        if comparison is None:
            report.basis = Basis.INDEX
        after = -1
        while page := await trio.to_thread.run_sync(reader.records_of, number, after, _MESSAGES_AT_ONCE):
            after = page[-1][0]
            await trio.to_thread.run_sync(self._check_page, selection, report, page, comparison)

    def _check_page(
        self,
        selection: OwnerSelection,
        report: OwnerReport,
        page: Sequence[tuple[int, str]],
        comparison: Comparison | None,
    ) -> None:
        present: list[Message] = []
        for message_id, raw in page:
            message = message_from(json.loads(raw), raw)
            if message is None:
                continue
            is_purged = message.availability == Availability.PURGED
            if is_purged or (comparison is not None and not comparison.is_listed(message_id)):
                self._note_purged(selection, report, message, is_known=is_purged)
                continue
            grown = None if comparison is None else comparison.grown.get(message_id)
            present.append(grown or message)
        self._check_all(selection, report, present, is_indexed=True)

    def _note_purged(
        self, selection: OwnerSelection, report: OwnerReport, message: Message, *, is_known: bool
    ) -> None:
        path = selection.path_of(message)
        if path is None:
            return
        report.row(*of_message(message)).purged += 1
        if self._archive is None and not is_known:
            self._tally.note(Finding(Trouble.PURGED, path, "the index still shows it"))

    def _check_all(
        self,
        selection: OwnerSelection,
        report: OwnerReport,
        messages: Sequence[Message],
        *,
        is_indexed: bool,
    ) -> None:
        """Checks messages that the platform has, and their attachments."""
        for message in messages:
            path = selection.path_of(message)
            if path is None:
                continue
            row = report.row(*of_message(message))
            row.messages += 1
            held = self._holdings.message(selection.owner, message, path, is_indexed=is_indexed)
            row.messages_here += held.state is State.OK
            contents = self._holdings.attachments(selection.owner, message, path, row)
            for each in contents:
                row.count(each)
            detail = "" if is_indexed or self._archive is not None else "the index does not have it yet"
            self._tally.state(held, path, detail)
            if held.state is State.OK:
                for each in dict.fromkeys(contents):
                    detail = f"{contents.count(each)} of {len(contents)} attachments"
                    self._tally.state(each, path, detail)
