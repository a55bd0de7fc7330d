"""Several processes on one ledger against the police, in virtual time.

Unlike in `World`, a process acts only when it is woken: at the time that its scheduler named, a little late,
or when an answer arrives. It does not hear of other processes.
"""

import heapq
import itertools
from collections.abc import Callable

import attrs

from rcfs.model import Priority, UsageGroup
from rcfs.quota import Idle, Ledger, Scheduler, Send, Slot, Ticket
from tests.fakes.ledgers import Home
from tests.fakes.police import Fate, Police, Trip, Verdict


@attrs.frozen
class Request:
    """One request that was sent."""

    process: "Process"
    """The sender."""
    ticket: Ticket
    """The ticket that it was sent for."""
    slot: Slot
    """The slot that it took."""
    believed_limit: int
    """The limit that the ledger believed at that time."""


@attrs.define(eq=False)
class Process:
    """One process."""

    owner: str
    ledger: Ledger
    scheduler: Scheduler
    alive: bool = True
    stopped: bool = False
    wake_s: float = float("inf")
    submitted: int = 0
    ended: int = 0


class Fleet:
    """All processes, their ledger, and the police.

    Args:
        home: Home of the ledger.
        police: Judges the requests.
        travel: Decides the trip of each request.
        late: Delay of a process's wakeup, in seconds.
        rate: Seconds on the police's clock per second on ours.
        judged: Called with each request after the police have judged it.
    """

    def __init__(
        self,
        home: Home,
        police: Police,
        *,
        travel: Callable[[Request], Trip] = lambda _: Trip(),
        late: Callable[[], float] = lambda: 0.0,
        rate: float = 1.0,
        judged: Callable[[Request, Verdict], None] = lambda _request, _verdict: None,
    ) -> None:
        self.now = 0.0
        self.processes: list[Process] = []
        self.heard: list[tuple[float, Verdict]] = []
        """Each 429 that a living process received, with its time."""
        self.requests: list[Request] = []
        self.done: Callable[[Process, Ticket], None] = lambda _process, _ticket: None
        self._home = home
        self._police = police
        self.travel = travel
        self._late = late
        self._rate = rate
        self._judged = judged
        self._events: list[tuple[float, int, Process | None, Callable[[], object]]] = []
        self._seqs = itertools.count()

    def start(self) -> Process:
        """A new process."""
        owner = f"process {len(self.processes)}"
        ledger = self._home.open(owner)
        process = Process(owner, ledger, Scheduler(ledger))
        self.processes.append(process)
        return process

    def kill(self, process: Process) -> None:
        """End `process` at once, whatever it does; its requests still arrive."""
        process.alive = False
        self._home.kill(process.owner, self.now)

    def submit(self, process: Process, group: UsageGroup, priority: Priority, count: int = 1) -> list[Ticket]:
        """Submit `count` requests by `process`."""
        process.submitted += count
        tickets = [process.scheduler.submit(group, priority, self.now) for _ in range(count)]
        self._pump(process)
        return tickets

    def close(self) -> None:
        """End all living processes in an orderly way."""
        for process in self.processes:
            if process.alive:
                process.alive = False
                process.ledger.close(self.now)

    def stop(self, process: Process) -> None:
        """Stop `process` until `resume`; answers for it wait."""
        process.stopped = True

    def resume(self, process: Process) -> None:
        """Let a stopped `process` continue."""
        process.stopped = False
        self._pump(process)

    def at(self, time_s: float, event: Callable[[], object], process: Process | None = None) -> None:
        """Call `event` at `time_s`, unless `process` is dead by then."""
        heapq.heappush(self._events, (time_s, next(self._seqs), process, event))

    @property
    def server_s(self) -> float:
        """The police's time."""
        return self.now * self._rate

    def run(self, until_s: float) -> None:
        """Let time pass until `until_s`, or until nothing can happen any more."""
        while self._events and self._events[0][0] <= until_s:
            self.now, _seq, process, event = heapq.heappop(self._events)
            if process is None or process.alive:
                event()
        if until_s < float("inf"):
            self.now = until_s

    def _wake(self, process: Process, wake_s: float) -> None:
        if process.wake_s == wake_s:  # otherwise another time has been set meanwhile
            self._pump(process)

    def _pump(self, process: Process) -> None:
        if process.stopped:
            return
        while isinstance(decision := process.scheduler.next(self.now), Send):
            limit = process.ledger.plan(decision.ticket.group).limit
            self._send(Request(process, decision.ticket, decision.slot, limit))
        process.wake_s = float("inf")
        if not isinstance(decision, Idle):
            assert decision.at_s > self.now
            process.wake_s = wake_s = decision.at_s + self._late()
            self.at(wake_s, lambda: self._wake(process, wake_s), process)

    def _send(self, request: Request) -> None:
        self.requests.append(request)
        trip = self.travel(request)
        arrival_s = self.now + trip.up_s
        slot, ledger = request.slot, request.process.ledger
        match trip.fate:
            case Fate.UNSENT:
                self._end_at(arrival_s, request, lambda: ledger.cancel(slot))
            case Fate.VANISHED | Fate.LATE:
                failure_s = self.now + trip.ended_s
                self._end_at(failure_s, request, lambda: ledger.fail(slot, self.now))
                if trip.fate is Fate.LATE:
                    self.at(failure_s + trip.down_s, lambda: self._judge(request))
            case _:
                self.at(arrival_s, lambda: self._arrive(request, trip))

    def _judge(self, request: Request) -> Verdict:
        verdict = self._police.arrive(request.ticket.group, self.server_s)
        self._judged(request, verdict)
        return verdict

    def _arrive(self, request: Request, trip: Trip) -> None:
        verdict = self._judge(request)
        self._end_at(self.now + trip.down_s, request, lambda: self._answer(request, trip.fate, verdict))

    def _end_at(self, time_s: float, request: Request, event: Callable[[], None]) -> None:
        process = request.process

        def end() -> None:
            event()
            process.ended += 1
            self.done(process, request.ticket)
            self._pump(process)

        self.at(time_s, end, process)

    def _answer(self, request: Request, fate: Fate, verdict: Verdict) -> None:
        ledger, slot = request.process.ledger, request.slot
        headers = None if fate is Fate.BARE else verdict.headers
        if fate is Fate.LOST:
            ledger.fail(slot, self.now)
        elif verdict.admitted:
            ledger.settle(slot, self.now, headers)
        else:
            self.heard.append((self.now, verdict))
            ledger.refuse(slot, self.now, headers, verdict.retry_after_s)
