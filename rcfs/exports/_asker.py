"""The requests that bring an export forward: the one that asks for it, polls, and lists.

The request that asks is sent at most once: the state `ExportState.ASKED` is on the disk before it, and the
task id as soon as its answer is there, even if the task is cancelled meanwhile.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import trio

from rcfs.errors import (
    ForbiddenError,
    NotFoundError,
    PlatformError,
    UncertainError,
)
from rcfs.exports import _course as course
from rcfs.mailbox import Account
from rcfs.model import Export, ExportArchive, ExportKind, ExportState, Priority
from rcfs.platform import (
    Answer,
    ExportAnswer,
    create_export,
    decoded_object,
    export_answer,
    following_page,
    is_missing_scope,
    is_wrong_request,
    list_report_archives,
    list_team_exports,
    new_export,
    next_page_url,
    read_export,
    report_archives,
    team_archives,
    team_exports,
)
from rcfs.transport import (
    AbandonedError,
    Recorder,
    Requester,
    RequestOptions,
    UnrepeatableRequest,
    is_undone,
)

SCOPES = {ExportKind.MESSAGES: "ReadMessages", ExportKind.TEAM: "TeamMessaging"}
"""The scope that each kind needs. Source: ``x-app-permission`` of the two creating operations."""
_ANSWER_S = 10.0
"""Time for the body of the answer to a request for an export, in seconds, even if the task is cancelled."""
_FORBIDDEN_S = 600.0
"""Pause after a poll that the platform does not allow, in seconds: rights seldom change."""
_MOST_PAGES = 20
"""Pages of the list of exports that rcfs reads: 5,000 tasks, of which the newest usually come first."""


class _ForgottenError(AbandonedError):
    """The export was forgotten while its request waited for a slot."""


def subject(kind: ExportKind) -> str:
    """The subject under which a refusal of that kind is remembered, see `Rights.note_refusal`."""
    return f"exports/{kind.value}"


class Asker:
    """Sends the requests of the exports of one account; one task at a time uses it."""

    def __init__(
        self,
        account: Account,
        requester: Requester,
        recorder: Recorder,
        *,
        save: Callable[[Export, Export], Awaitable[bool]],
        is_wanted: Callable[[Export], bool],
        now_s: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        """`save` replaces an export by its next value, and returns False if it has changed meanwhile.

        `is_wanted` tells whether an export is still as it was, `now_s` gives seconds since 1970 UTC, and
        `jitter` a number from 0 to 1.
        """
        self._account = account
        self._requester = requester
        self._recorder = recorder
        self._save = save
        self._is_wanted = is_wanted
        self._now_s = now_s
        self._jitter = jitter
        self._lost = Counter[str]()
        """By the id of an export, the number of its latest requests whose answers were lost."""

    async def advance(self, export: Export, others: Sequence[Export]) -> None:
        """Does what is due for `export`: asks for it, looks for its lost answer, or polls it.

        Failures become part of the export. `others` are all exports of the account.

        Raises:
            StoreError: The list of exports cannot be written.
        """
        if export.state is ExportState.WAITING:
            await self._ask(export)
        elif export.task_id:
            await self._poll(export)
        elif export.query.kind is ExportKind.TEAM:
            await self._search(export, {each.task_id for each in others})
        else:
            await self._save(export, course.unanswered(export, self._lost[export.id], self._now_s()))

    # The request

    async def _ask(self, before: Export) -> None:
        asked = course.asking(before, self._now_s())
        if not await self._save(before, asked):
            return
        # After that number rcfs has given up, and a person wants it again.
        lost = self._lost.pop(before.id, 0) % course.MOST_LOST
        request = create_export(asked.query, course.until_s(asked))

        def confirm() -> None:
            if not self._is_wanted(asked):
                raise _ForgottenError("the export was forgotten")

        async def withdraw() -> None:
            await self._save(asked, course.not_asked(asked, None, self._now_s()))

        try:
            await UnrepeatableRequest(request, answer_s=_ANSWER_S).run(
                self._requester,
                lambda answer: self._take(asked, answer, request.operation),
                self._options(asked),
                withdraw=withdraw,
                confirm=confirm,
            )
        except AbandonedError:
            pass  # It is forgotten.
        except UncertainError as exc:
            self._lost[asked.id] = lost + 1
            self._recorder.failure("export", exc)  # The export says already what happens next.
        except PlatformError as exc:
            await self._save(asked, await self._after_refusal(asked, before, exc))

    async def _take(self, asked: Export, told: Answer, operation: str) -> None:
        body = await told.body()

        def parse() -> ExportAnswer:
            return new_export(decoded_object(body, operation))

        answer = await trio.to_thread.run_sync(parse)
        await self._save(asked, course.accepted(asked, answer, self._now_s(), self._jitter()))

    async def _after_refusal(self, asked: Export, before: Export, error: PlatformError) -> Export:
        """The export after the platform has not accepted it."""
        now_s = self._now_s()
        if is_undone(error):
            return course.not_asked(asked, error, now_s)
        self._recorder.failure("export", error)
        if isinstance(error, ForbiddenError):
            because = self._spoken(error, asked.query.kind)
            await self._account.rights.note_refusal(subject(asked.query.kind), because)
            return course.failed(asked, because, now_s)
        if is_wrong_request(error):
            return course.failed(asked, str(error), now_s)
        return course.refused(asked, before, error, now_s)

    @staticmethod
    def _spoken(error: ForbiddenError, kind: ExportKind) -> str:
        if is_missing_scope(error):
            return f"the app lacks the scope {SCOPES[kind]} ({error.code})"
        return f"the user may not export {kind.value.lower()} ({error.code})"

    # Polls

    async def _poll(self, export: Export) -> None:
        try:
            answer = await self._requester.read(
                read_export(export.query.kind, export.task_id), export_answer, self._options(export)
            )
            archives = await self._archives(export, answer)
        except NotFoundError as exc:
            after = course.unknown(export, exc, self._now_s())
        except ForbiddenError as exc:
            self._recorder.failure("export", exc)
            after = course.troubled(export, exc, self._now_s(), _FORBIDDEN_S)
        except PlatformError as exc:
            after = course.troubled(export, exc, self._now_s())
        else:
            after = course.told(export, answer, archives, self._now_s(), self._jitter())
        await self._save(export, after)

    async def _archives(self, export: Export, answer: ExportAnswer) -> tuple[ExportArchive, ...]:
        """The archives of a completed export; those of a report cost another request."""
        if answer.state is not ExportState.COMPLETED:
            return ()
        account_id, task_id = self._account.id, export.task_id
        may_see_token = self._requester.hosts.may_see_token
        if export.query.kind is ExportKind.TEAM:
            return team_archives(answer, account_id, task_id, may_see_token)
        return await self._requester.read(
            list_report_archives(task_id),
            lambda document: report_archives(document, account_id, task_id, may_see_token),
            self._options(export),
        )

    # The list of team messaging exports

    async def _search(self, export: Export, known_ids: set[str]) -> None:
        try:
            answer = await self._find(export, known_ids)
        except ForbiddenError as exc:
            after = course.troubled(export, exc, self._now_s(), _FORBIDDEN_S)
        except PlatformError as exc:
            after = course.troubled(export, exc, self._now_s())
        else:
            if answer is None:
                after = course.not_found(export, self._lost[export.id], self._now_s())
            else:
                after = course.accepted(export, answer, self._now_s(), self._jitter())
        await self._save(export, after)

    async def _find(self, export: Export, known_ids: set[str]) -> ExportAnswer | None:
        """The task on the platform that `export` asked for; None if the list has none."""
        request, options, seen = list_team_exports(), self._options(export), set[str]()
        for _page in range(_MOST_PAGES):
            tasks, url = await self._requester.read(
                request, lambda document: (team_exports(document), next_page_url(document)), options
            )
            for task in tasks:
                if task.task_id and task.task_id not in known_ids and course.is_answer(export, task):
                    return task
            if not url or url in seen or not self._requester.hosts.may_see_token(url):
                break
            seen.add(url)
            request = following_page(request, url)
        return None

    @staticmethod
    def _options(export: Export) -> RequestOptions:
        return RequestOptions(Priority.METADATA, label=f"export {export.query.kind.value}")
