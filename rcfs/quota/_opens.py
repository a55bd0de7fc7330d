"""Distinguishes a person's opens from those of a program that walks through files.

A cold open is one of a file whose content is not in the cache. A program that walks through files shows in
one of two ways: one process opens many files (cp, `xargs cat`), or one process starts many that open a file
each (`find -exec cat`, a loop in a script, `xargs -P`). So a cold open counts for its process and for each
process above it. The *lowest* of them with too many is the walker, and what it opened no longer counts for
those above. Therefore a script that starts a copy in the background can still read a file as a person,
although both are in one process group.

Wrong guesses are bounded: one session, and one user, get a limited number of opens in a person's class in any
window, however their processes are arranged.
"""

from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import attrs

from rcfs.model import Priority

PERSON_OPENS: Final = 4
"""Cold opens in a window that a person may make with one program: as many as the reserve of the usual limit
of 40, so that each finds a slot even while other programs copy."""
ELSEWHERE_OPENS: Final = 2
"""Cold opens in a window that a person may make with a process that walks through files elsewhere: mc shows a
file while it copies. Half of `PERSON_OPENS`, as a copy of a whole tree comes to new places, too."""
SESSION_OPENS: Final = 10
"""Cold opens of one session in a window that may be a person's: a quarter of the usual limit. A person who
opens a file every six seconds stays below it."""
USER_OPENS: Final = 20
"""The same for all sessions of a user: half of the usual limit. It bounds programs that start a session for
each file (`setsid`), which would otherwise pass for persons."""
OPENS_WINDOW_S: Final = 60.0
"""Length of the window in seconds: that of the rate limits, which it protects."""

_MOST_JOBS: Final = 1024
"""Most jobs that are remembered, in less than 1 MB; the one idle longest is forgotten first. Fewer processes
open files within a minute, unless each file has a process of its own, whose record is not needed again."""
_MOST_PLACES: Final = 64
"""Most places of a job that are remembered: a window's budget of 40 reaches no more."""

T = TypeVar("T")


@attrs.frozen
class Opener:
    """The process that opens a file, and the jobs that its open may be part of."""

    jobs: tuple[Hashable, ...]
    """The process, then each of its ancestors; at least one. Equal for opens that belong together."""
    session: Hashable = None
    """The session of the process."""
    user: Hashable = None
    """The user that the process runs as."""


@attrs.define(eq=False)
class _Open:
    """One cold open, shared by the jobs that it counts for."""

    at_s: float


@attrs.define(eq=False)
class _Job:
    """The record of a process and those below it."""

    last_s: float
    """Time of the last cold open."""
    opens: list[_Open] = attrs.field(factory=list)
    """The latest that count for it, at most `PERSON_OPENS`; those of a walker below it do not."""
    walks: bool = False
    """Whether it has made too many, and so walks through files."""
    places: dict[Hashable, float] = attrs.field(factory=dict)
    """The places where it walks, and when it was last in each; the latest is last."""
    elsewhere_s: list[float] = attrs.field(factory=list)
    """Times of the opens elsewhere that were a person's."""

    def refresh(self, now: float) -> None:
        """Forgets what is older than a window."""
        if self.last_s + OPENS_WINDOW_S <= now:
            self.walks = False
        from_s = now - OPENS_WINDOW_S
        self.opens = [each for each in self.opens if each.at_s > from_s]
        self.elsewhere_s = [at_s for at_s in self.elsewhere_s if at_s > from_s]
        self.places = {place: at_s for place, at_s in self.places.items() if at_s > from_s}

    def count(self, opened: _Open) -> None:
        """Counts an open, in place of the oldest if there are too many."""
        self.opens = [*self.opens, opened][-PERSON_OPENS:]

    def discount(self, opens: list[_Open]) -> None:
        """Removes `opens`, which a walker below made; the job still walks only if enough others are left."""
        self.opens = [each for each in self.opens if each not in opens]
        self.walks = self.walks and len(self.opens) == PERSON_OPENS

    def walk(self, place: Hashable, now: float) -> None:
        """Records that it walks through `place`."""
        self.places.pop(place, None)
        self.places[place] = now
        if len(self.places) > _MOST_PLACES:
            del self.places[next(iter(self.places))]


class OpenClassifier:
    """Decides whether a cold open is a person's or bulk, by the process that opens.

    In any window at most `SESSION_OPENS` opens of a session and `USER_OPENS` of a user are a person's.
    """

    def __init__(self) -> None:
        self._jobs: dict[Hashable, _Job] = {}
        """The one idle longest is first."""
        self._granted: dict[Hashable, list[float]] = {}
        """Times of the person's opens of each session and user; the one idle longest is first."""

    def classify(self, opener: Opener, place: Hashable, now: float) -> Priority:
        """PERSON for the first few cold opens of a job within a window, BULK for further ones.

        A job that has become bulk stays bulk until it has made no cold open for a whole window. A process
        that walks through files may still make `ELSEWHERE_OPENS` in a window at places where it does not
        walk.

        Args:
            opener: The process that opens.
            place: Where the file is; equal for files that a walk reaches one after the other.
            now: Seconds from any origin; never goes back.
        """
        jobs = [self._job(key, now) for key in opener.jobs]
        walker = next((n for n, job in enumerate(jobs) if job.walks or len(job.opens) == PERSON_OPENS), None)
        opened = _Open(now)
        for job in jobs if walker is None else jobs[: walker + 1]:
            job.last_s = now
        if walker is not None and not jobs[walker].walks:
            jobs[walker].walks = True
            jobs[0].places = {place: now}  # Its earlier opens may have been a person's, anywhere.
            for above in jobs[walker + 1 :]:
                # The last one still counts: a job that starts a walker for every few files walks itself.
                above.discount(jobs[walker].opens[:-1])
        if walker == 0 and self._is_elsewhere(jobs[0], place) and self._grant(opener, now):
            jobs[0].elsewhere_s.append(now)
            return Priority.PERSON
        jobs[0].walk(place, now)
        for job in jobs if walker is None else jobs[: walker + 1]:
            job.count(opened)
        return Priority.PERSON if walker is None and self._grant(opener, now) else Priority.BULK

    def is_bulk(self, opener: Opener, now: float) -> bool:
        """Whether the next cold open of `opener` would be bulk because a job of it walks through files."""
        jobs = (self._jobs.get(key) for key in opener.jobs)
        return any(job is not None and job.walks and job.last_s + OPENS_WINDOW_S > now for job in jobs)

    def _job(self, key: Hashable, now: float) -> _Job:
        """The record of a job as of `now`, made if it has none yet."""
        job = _touch(self._jobs, key, lambda: _Job(now))
        job.refresh(now)
        return job

    @staticmethod
    def _is_elsewhere(walker: _Job, place: Hashable) -> bool:
        return place not in walker.places and len(walker.elsewhere_s) < ELSEWHERE_OPENS

    def _grant(self, opener: Opener, now: float) -> bool:
        """Whether session and user of `opener` may have one more person's open, which then counts."""
        bounds = ((("session", opener.session), SESSION_OPENS), (("user", opener.user), USER_OPENS))
        granted = []
        for key, most in bounds:
            times = _touch(self._granted, key, list)
            times[:] = [at_s for at_s in times if at_s + OPENS_WINDOW_S > now]
            if len(times) >= most:
                return False
            granted.append(times)
        for times in granted:
            times.append(now)
        return True


def _touch(remembered: dict[Hashable, T], key: Hashable, make: Callable[[], T]) -> T:
    """The value of `key`, made by `make` if the key is new; the key is now the last to be forgotten."""
    value = remembered.pop(key) if key in remembered else make()
    remembered[key] = value
    if len(remembered) > _MOST_JOBS:
        del remembered[next(iter(remembered))]
    return value
