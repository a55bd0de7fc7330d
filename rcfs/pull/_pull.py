"""Carries a pull out: loads what it needs, finds the files that are missing, fetches and copies them.

Concurrency: all methods run in the trio thread. Many workers fetch contents, so that the whole window of the
quota is used at any latency; a few others copy texts and cached contents meanwhile, so that no slot of the
quota waits for a disk.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

import attrs
import trio

from rcfs.engine import Engine
from rcfs.model import HEAVY, MEDIUM, Filter
from rcfs.pull._complete import CompleteMailboxes
from rcfs.pull._copy import Copy
from rcfs.pull._division import Shard, part_of
from rcfs.pull._export_lane import ExportLane
from rcfs.pull._joint import Joint, PartList
from rcfs.pull._keeping_up import keeping_up
from rcfs.pull._load import in_parallel, load_tree
from rcfs.pull._needs import Parts, owner_of_directory, owners_of
from rcfs.pull._places import date_directories, make_places, sweep_directories
from rcfs.pull._records_lane import RecordsLane
from rcfs.pull._scope import bounds_of, scope_of, takes_all_messages
from rcfs.pull._survey import Failure, Survey, Surveyor
from rcfs.pull._telling import FactTeller, PullRecord
from rcfs.pull._todo import FETCHES, Kind, Step
from rcfs.pull._transfer import Progress, Transfer
from rcfs.pull._walk import Item, Walk, are_whole_extensions
from rcfs.pull._way import Via, choose_way, known_exports
from rcfs.transport import run_together
from rcfs.tree import Root

_FETCHERS = 64
"""Contents fetched at the same time, at most. A request holds a slot for the window and its latency, so 40 a
minute keep 40 fetchers busy at a latency of a whole window, and 1,000 a minute keep 64 busy at 3.8 s."""
_HEAVY_FETCHERS = 16
"""The same for contents of other groups, for each login: 10 a minute keep 10 fetchers busy at a latency of a
whole window."""
_JOINT_FETCHERS = 8
"""Fetchers, and copiers, for each part of a pull that has joined others, which works on twelve parts."""
_COPIERS = 8
"""Files copied at the same time: a copier mostly waits for the sync, and a disk takes several at once."""
_LOOKED_AT_ONCE = 100
"""Entries in one call of a worker thread: 20 ms, for which an interrupt has to wait."""


class Pull:
    """One pull; call `survey`, and then `run` unless it is a dry run."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None = None,
        *,
        verify: bool = False,
        on_done: Callable[[Item, int], None] = lambda _item, _size_bytes: None,
        on_failure: Callable[[Failure], None] = lambda _failure: None,
        via: Via = Via.ATTACHMENTS,
        on_note: Callable[[str], None] = lambda _note: None,
        wall_clock: Callable[[], float] | None = None,
        shard: Shard | None = None,
        shared: PartList | None = None,
    ) -> None:
        """Prepares a pull.

        Args:
            engine: The source of mailboxes and contents.
            copy: The copy to write files to; None to fetch into the cache only.
            verify: Whether to read and check the files that were copied before.
            on_done: Called with each file that was fetched or copied, and its size in bytes.
            on_failure: Called with each failure when it happens.
            via: The way of attachments.
            on_note: Called with each thing that exports did not bring, and why.
            wall_clock: Gives seconds since 1970 UTC; None for the platform's clock.
            shard: The share of this pull among several; None for everything. A shard has no way but
                attachments, because exports bring whole accounts.
            shared: The list of parts that it works through together with others; None without others. The
                same holds.
        """
        self._shard = shard
        self._shared = shared
        self._joint: Joint | None = None
        self._engine = engine
        self._copy = copy
        self._verify = verify
        self._wall_clock = wall_clock or engine.client.server_now_s
        self._via = via
        self._on_note = on_note
        self._lane: ExportLane | None = None
        self._transfer = Transfer(engine, copy, on_done, on_failure)
        self._complete = CompleteMailboxes(engine, copy, Filter(), {}, self._wall_clock)
        self._record: PullRecord | None = None
        self._teller: FactTeller | None = None
        self.surveyed = Survey()
        """The survey so far."""

    @property
    def progress(self) -> Progress:
        """How far the pull is."""
        progress = self._transfer.progress
        if self._lane is not None:
            progress.archives, progress.waits_for = self._lane.archives, self._lane.waits_for
        if self._joint is not None:
            progress.parts_done, progress.parts_left = self._joint.total_done, self._joint.left
        return progress

    def left_s(self) -> float:
        """Seconds until all missing contents have come."""
        lane_s = 0.0 if self._lane is None else self._lane.left_s()
        return max(self._transfer.left_s(), lane_s)

    async def tree(self, paths: Sequence[Parts]) -> tuple[Root, tuple[Failure, ...]]:
        """The tree with what `paths` lead into, and the collections that could not be loaded or synced.

        A mailbox that could not be synced shows its last known state. A mailbox that the login may not read,
        and never could, is no failure, unless there is no other.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes fails.
        """
        loaded = await load_tree(self._engine, paths, Filter())
        return loaded.root, loaded.failures

    async def take_records(self, paths: Sequence[Parts], wanted: Filter) -> None:
        """Before `survey`: takes records out of an export, if that saves requests for lists of mailboxes.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes or the list of exports fails.
        """
        self.surveyed = survey = Survey()
        if self._via is not Via.ATTACHMENTS and () in paths and takes_all_messages(wanted):
            survey.waits_for = "an export of all messages, so that mailboxes need no whole list"
            lane = RecordsLane(self._engine, is_eager=self._via is Via.EXPORTS, on_note=self._on_note)
            await lane.run()

    async def survey(self, paths: Sequence[Parts], wanted: Filter) -> tuple[Survey, list[Parts]]:
        """Finds what is to be done for `paths`; also returns the paths that lead to nothing.

        Meanwhile `surveyed` is the survey so far.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes fails.
        """
        self.surveyed = survey = Survey()
        engine = self._engine
        if wanted.takes_messages:
            await engine.retention.learn()
        loaded = await load_tree(engine, paths, wanted)
        survey.root, survey.failures, survey.closed = loaded.root, loaded.failures, loaded.closed
        owners = owners_of(loaded.root, paths) if are_whole_extensions(paths) else {}
        self._complete = CompleteMailboxes(engine, self._copy, wanted, owners, self._wall_clock)
        await self._complete.pass_over(survey, trust=not self._verify)
        walk = Walk(
            loaded.root,
            paths,
            wanted,
            without=frozenset() if self._copy is None else frozenset(survey.unchanged),
            without_mailboxes=frozenset(survey.unchanged) if self._copy is None else frozenset(),
            attachments_only=self._copy is None,
        )
        items = iter(walk)
        surveyor = Surveyor(
            survey,
            engine.cache,
            self._copy,
            engine.retention.current,
            verify=self._verify,
            on_item=self._tell_of(survey, paths, wanted),
            part_of=self._part_of(loaded.root),
            takes=(lambda _part: True) if self._shard is None else self._shard.takes,
        )
        while await trio.to_thread.run_sync(
            surveyor.look_at, islice(items, _LOOKED_AT_ONCE), self._wall_clock()
        ):
            pass
        if survey.missing_in[HEAVY]:
            survey.keeping_up = await keeping_up(engine)
        self.progress.files = survey.present
        self.progress.failures = list(survey.failures)
        self.progress.left = survey.missing_in.copy()
        await self._choose_way(survey, paths, wanted)
        surveyor.finish(self._wall_clock(), self._transfer.interval_s)
        return survey, walk.unknown

    async def run(self, survey: Survey) -> None:
        """Does what is to be done; `progress` collects the failures of single files.

        When it is cancelled, it begins nothing more and withdraws the requests that wait for a slot, but
        leaves those that were sent: see `finish_sent`.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The disk of the copy fails.
            PlatformError: The server fails for one file after the other.
        """
        todo, copy, transfer = survey.todo, self._copy, self._transfer
        if self._teller is not None and self._record is not None:
            await trio.to_thread.run_sync(self._record.begin, survey, self._teller)
        if self._shared is not None:
            await self._run_together_with_others(survey, self._shared)
            await self._finish(survey)
            return
        fetch_all = partial(transfer.fetch_all, survey.root)
        fetchers = {
            Kind.FETCH: _FETCHERS,
            Kind.FETCH_HEAVY: _HEAVY_FETCHERS * self._engine.budget.logins,
        }
        jobs = [in_parallel(count, fetch_all, todo.steps(kind)) for kind, count in fetchers.items()]
        if self._lane is not None:
            jobs.append(partial(self._use_exports, survey, self._lane))
        if copy is not None and copy.is_shared:
            # It has old names and partial files until a pull has it to itself: others may be writing.
            jobs.append(partial(self._make_places, copy, survey))
            jobs.append(in_parallel(_COPIERS, partial(transfer.copy_all, survey.root), todo.steps(Kind.COPY)))
        elif copy is not None:
            pairs = ((step.detail.split("/"), step.parts) for step in todo.steps(Kind.RENAME))
            for new, error in await trio.to_thread.run_sync(copy.rename, pairs):
                transfer.fail("/".join(new), error)
            # Before anything is written, because a partial file is left by a killed run only then.
            await trio.to_thread.run_sync(sweep_directories, copy, todo)
            jobs.append(partial(self._make_places, copy, survey))
            jobs.append(in_parallel(_COPIERS, partial(transfer.copy_all, survey.root), todo.steps(Kind.COPY)))
        await run_together(jobs)
        await self._finish(survey)

    async def _finish(self, survey: Survey) -> None:
        if self._copy is not None:
            await trio.to_thread.run_sync(date_directories, self._copy, survey.todo)
        if self._shard is None and self._shared is None:
            failed = {failure.path.partition("/")[0] for failure in self.progress.failures}
            await self._complete.note(survey, failed)
        if self._record is not None:
            await trio.to_thread.run_sync(self._record.end, tuple(self.progress.failures))

    def _part_of(self, root: Root) -> Callable[[Item], str]:
        if self._shard is None and self._shared is None:
            return lambda _item: ""
        names = {name: owner_of_directory(each) for name, each in owners_of(root, ((),)).items()}
        return lambda item: part_of(item, names.get)

    async def _run_together_with_others(self, survey: Survey, shared: PartList) -> None:
        todo, transfer, copy, progress = survey.todo, self._transfer, self._copy, self.progress

        async def work(part: str) -> bool:
            before = len(progress.failures)
            steps = partial(todo.steps, part=part)
            fetch_all = partial(transfer.fetch_all, survey.root)
            copy_all = partial(transfer.copy_all, survey.root)
            jobs = [in_parallel(_JOINT_FETCHERS, fetch_all, steps(Kind.FETCH))]
            jobs.append(in_parallel(_JOINT_FETCHERS, fetch_all, steps(Kind.FETCH_HEAVY)))
            jobs.append(in_parallel(_JOINT_FETCHERS, copy_all, steps(Kind.COPY)))
            if copy is not None:
                jobs.append(partial(self._make_some, copy, Kind.LINK, steps(Kind.LINK)))
            await run_together(jobs)
            return len(progress.failures) == before  # A failure of another part costs a second look.

        def elsewhere(part: str) -> None:
            for kind in (Kind.FETCH, Kind.FETCH_HEAVY, Kind.COPY):
                for step in todo.steps(kind, part=part):
                    progress.elsewhere += 1
                    if step.key is not None and kind is not Kind.COPY:
                        progress.left[step.key.group] -= 1

        parts = await trio.to_thread.run_sync(todo.parts)
        self._joint = Joint(shared, work=work, on_done_elsewhere=elsewhere, on_note=self._on_note)
        if copy is not None:
            await self._make_some(copy, Kind.DIRECTORY, todo.steps(Kind.DIRECTORY))
        await self._joint.run(parts)

    def _tell_of(self, survey: Survey, paths: Sequence[Parts], wanted: Filter) -> Callable[[Item], None]:
        """A function that tells the copy, if there is one, what an item is."""
        if self._copy is None:
            return lambda _item: None
        self._record = PullRecord(self._engine, self._copy, paths, wanted, self._wall_clock)
        self._teller = FactTeller(self._copy, self._engine.account.id, survey.root)
        return self._teller.tell

    async def lost(self, survey: Survey) -> int:
        """Number of fetched contents that the cache does not have now; 0 for a copy, or with others."""
        if self._copy is not None or self._shared is not None:
            return 0
        failed = {failure.path for failure in self.progress.failures}
        contains = self._engine.cache.contains

        def count() -> int:
            steps = chain.from_iterable(map(survey.todo.steps, FETCHES))
            keys = (step.key for step in steps if "/".join(step.parts) not in failed)
            return sum(contains(key) != "yes" for key in keys if key is not None)

        return await trio.to_thread.run_sync(count)

    async def finish_sent(self, within_s: float) -> None:
        """After `run` was cancelled: waits at most `within_s` for the requests that were sent."""
        with trio.move_on_after(within_s):
            await trio.lowlevel.checkpoint()
            await self._transfer.finish_asked()

    async def _choose_way(self, survey: Survey, paths: Sequence[Parts], wanted: Filter) -> None:
        """Chooses the way of the missing attachments; sends nothing."""
        engine, count = self._engine, survey.missing_in[MEDIUM]
        scope, exports = None, []
        if self._via is Via.EXPORTS and not wanted.takes_messages:
            self._on_note("exports hold messages only, so --via exports changes nothing here")
        if self._via is not Via.ATTACHMENTS and count:
            exports = await known_exports(engine)
            scope = await scope_of(engine, survey.root, paths, wanted, survey.days, survey.unchanged)
        if self._via is Via.EXPORTS:
            scope = attrs.evolve(scope or bounds_of(engine, wanted, survey.days), is_eager=True)
        survey.way = way = choose_way(engine, survey.days, count, via=self._via, scope=scope, exports=exports)
        if way.via is Via.EXPORTS:
            spans = [(period.query.from_s, period.until_s) for period in way.periods]
            expected = await trio.to_thread.run_sync(survey.todo.expect, spans)
            self.progress.expected = expected
            self.progress.left[MEDIUM] -= expected
            taken = partial(self._transfer.take_exported, survey.root, survey.todo)
            self._lane = ExportLane(engine, way, arrived=taken, on_note=self._on_note)

    async def _use_exports(self, survey: Survey, lane: ExportLane) -> None:
        """Takes what the exports bring, and fetches the rest of it."""
        await lane.run()
        progress = self.progress
        progress.left[MEDIUM] += progress.expected
        progress.expected = 0
        fetch_all = partial(self._transfer.fetch_all, survey.root)
        await in_parallel(_FETCHERS, fetch_all, survey.todo.steps(Kind.EXPORT))()

    async def _make_places(self, copy: Copy, survey: Survey) -> None:
        """Makes the directories, which may be empty, and the links of the copy."""
        for kind in (Kind.DIRECTORY, Kind.LINK):
            await self._make_some(copy, kind, survey.todo.steps(kind))

    async def _make_some(self, copy: Copy, kind: Kind, steps: Iterator[Step]) -> None:
        while some := list(islice(steps, _LOOKED_AT_ONCE)):
            for path, error in await trio.to_thread.run_sync(make_places, copy, kind, some):
                self._transfer.fail(path, error)
