"""The whole simulator: puts its parts together, serves its origins, and runs as a process."""

import os
import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import trio

from rcfs.simulator._app import App
from rcfs.simulator._backend import Backend
from rcfs.simulator._clock import AccountClock
from rcfs.simulator._config import Credentials, Endpoints, LoginSpec, SimulatorConfig
from rcfs.simulator._due import let_time_pass
from rcfs.simulator._exchange import FOREIGN, MEDIA, PLATFORM
from rcfs.simulator._journal import Journal
from rcfs.simulator._notifications import Notifications
from rcfs.simulator._origin import listening
from rcfs.simulator._police import Police
from rcfs.simulator._tasks import (
    EXPORT_COURSES,
    EXPORT_KEPT_S,
    REPORT_COURSES,
    SUCCESS,
    Course,
    TaskBook,
    TaskPlan,
)
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_log_state import CallLogState
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._greetings import GreetingBook
from rcfs.simulator.account._message_limits import MailboxLimits
from rcfs.simulator.account._message_store import MessageStore, StoreRules
from rcfs.simulator.account._prompts import PromptBook
from rcfs.simulator.faults._faults import FaultList
from rcfs.simulator.login._auth import Auth
from rcfs.simulator.login._logins import Login
from rcfs.simulator.login._permissions import Permissions

FOREIGN_HOST = "127.0.0.2"
"""Address of the foreign host. It differs from the platform's, because a client may tell hosts apart by name
alone. On Linux all of 127.0.0.0/8 is loopback."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a simulator."""

READ_BYTES = 4096
"""Bytes of standard input that are read, and discarded, at once."""


class Simulator:
    """A RingCentral platform with one account and one client.

    Everything but `serve` may be used before, while and after it runs, from the same thread.

    Raises:
        ValueError: The account has no user to log in as the configuration asks, or the configuration names an
            unknown scope or permission.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.account = SimAccount(config.spec)
        self.calls = CallBook(
            self.account,
            config.calls,
            per_day=config.calls_per_day,
            days=config.call_days,
            limit=config.recording_limit,
            hipaa=config.hipaa,
        )
        self.greetings = GreetingBook(self.account)
        self.prompts = PromptBook(self.account)
        self.journal = Journal()
        self.police = Police(config.plans, fixed_window=config.fixed_window)
        self.faults = FaultList()
        self._permissions = Permissions(config.missing_scopes, config.missing_permissions)
        self.auth = Auth(
            config.credentials or Credentials.from_seed(self.account.account_id),
            owner=_owner(self.account, standard_user=config.standard_user),
            token_lifetime_s=config.token_lifetime_s,
            scopes=self._permissions.scopes,
            redirect_uris=config.redirect_uris,
            more=[self._login(number, spec) for number, spec in enumerate(config.more_logins, 2)],
        )

    def _login(self, number: int, spec: LoginSpec) -> Login:
        """The further login `spec`, which is the `number`-th of all."""
        ids = [extension.id for extension in self.account.extensions]
        if not all(slot < len(ids) for slot in (spec.slot, *spec.closed)):
            raise ValueError(f"login {number} names an extension that the account does not have")
        # The same user has the same subject in each app.
        user = str(spec.slot) if ids[spec.slot] != _owner(self.account, standard_user=False) else ""
        credentials = Credentials.from_seed(self.account.account_id, user=user, app=spec.app)
        self.police.set_own(str(ids[spec.slot]), credentials.client_id, spec.plans)
        return Login(
            credentials,
            ids[spec.slot],
            Permissions(self.config.missing_scopes | spec.missing_scopes, self.config.missing_permissions),
            spec.admin,
            frozenset(ids[slot] for slot in spec.closed),
            spec.hides,
            spec.account_id,
        )

    async def serve(self, *, task_status: trio.TaskStatus[Endpoints] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on all origins until cancelled; reports the `Endpoints` once they accept connections.

        Raises:
            OSError: A port is taken.
        """
        places = {
            PLATFORM: (self.config.host, self.config.port),
            MEDIA: (self.config.host, self.config.media_port),
            FOREIGN: (FOREIGN_HOST, 0),
        }
        with ExitStack() as stack:
            origins = {}
            for name, (host, port) in places.items():
                origins[name] = await listening(name, self.faults, host=host, port=port)
                stack.callback(origins[name].close)
            endpoints = self._endpoints({name: origin.url for name, origin in origins.items()})
            backend = self._backend(endpoints)
            backend.messages.listen(backend.notify_of)
            self.auth.listen(backend.notifications.end)
            if self.config.mailbox_limits:
                for _ in backend.limits.enforce(backend.account_time()):
                    await trio.lowlevel.checkpoint()
            if self.config.day_speed is not None:
                backend.play_day(self.config.day_speed)
            stack.callback(backend.reports.close)
            stack.callback(backend.team_exports.close)
            async with trio.open_nursery() as nursery:
                backend.background = nursery
                for name, origin in origins.items():
                    nursery.start_soon(origin.serve, App(backend, self.faults, name))
                nursery.start_soon(let_time_pass, backend.messages, backend.account_clock)
                task_status.started(endpoints)

    @property
    def _present_s(self) -> float:
        """The time at which the account's clock starts."""
        present_s = self.config.present_s
        return self.config.spec.end_s if present_s is None else present_s

    def _endpoints(self, urls: Mapping[str, str]) -> Endpoints:
        credentials = self.auth.credentials
        return Endpoints(
            platform_url=urls[PLATFORM],
            media_url=urls[MEDIA],
            foreign_url=urls[FOREIGN],
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            jwt=credentials.jwt,
            more=self.auth.more,
        )

    def _task_book(self, courses: Mapping[str, Course], kept_s: float) -> TaskBook:
        config = self.config
        return TaskBook(
            TaskPlan(courses[SUCCESS], config.export_s, kept_s, config.archives_kept_s, config.export_quirks),
            courses,
        )

    def _backend(self, endpoints: Endpoints) -> Backend:
        start = trio.current_time()
        messages = MessageStore(self.account)
        rules = StoreRules(
            hipaa=self.config.hipaa,
            limited=self.config.mailbox_limits,
            sync_token_lifetime_s=self.config.sync_token_lifetime_s,
            sync_token_error=self.config.sync_token_error,
        )
        return Backend(
            account=self.account,
            messages=messages,
            store_rules=rules,
            limits=MailboxLimits(self.account, messages, rules),
            account_clock=AccountClock(self._present_s, trio.current_time),
            calls=self.calls,
            call_logs=CallLogState(),
            greetings=self.greetings,
            prompts=self.prompts,
            reports=self._task_book(REPORT_COURSES, self.config.export_kept_s),
            team_exports=self._task_book(EXPORT_COURSES, EXPORT_KEPT_S),
            archive_bytes=self.config.archive_bytes,
            new_call_handling=self.config.new_call_handling,
            auth=self.auth,
            police=self.police,
            journal=self.journal,
            endpoints=endpoints,
            clock=lambda: trio.current_time() - start,
            permissions=self._permissions,
            notifications=Notifications(),
            refuse_duplicates=self.config.refuse_duplicates,
            latency_s=self.config.latency_s,
            sync_key=secrets.token_bytes(32),
        )


def run_simulator(
    config: SimulatorConfig, *, on_ready: Callable[[Endpoints], None], until_eof: bool = False
) -> None:
    """Run a simulator until SIGINT, SIGTERM, SIGHUP (its terminal was closed) or SIGQUIT.

    Args:
        config: Its settings.
        on_ready: Called once, when all origins accept connections.
        until_eof: Also stop at the end of standard input. A parent that holds the other end of that pipe
            thereby ends the simulator when it dies.

    Raises:
        OSError: A port is taken.
        ValueError: The account has no user to log in as the configuration asks.
    """
    simulator = Simulator(config)
    failure = trio.run(_run, simulator, on_ready, until_eof)
    if failure is not None:
        raise failure


async def _run(
    simulator: Simulator, on_ready: Callable[[Endpoints], None], until_eof: bool
) -> OSError | None:
    """Run `simulator` until it is told to stop; returns the error if it could not listen."""
    failure = None
    # A signal that is ignored stays ignored, as nohup needs.
    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*heard) as signals:
        async with trio.open_nursery() as nursery:
            try:
                endpoints = await nursery.start(simulator.serve)
            except OSError as exc:
                failure = exc  # raised here it would leave the nursery as a group
            else:
                on_ready(endpoints)
                if until_eof:
                    nursery.start_soon(_cancel_at_eof, nursery.cancel_scope)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break
    return failure


async def _cancel_at_eof(cancel_scope: trio.CancelScope) -> None:
    # A thread, because standard input may be a file or a terminal. To wait for those, trio would have to make
    # them non-blocking for every process that shares them.
    await trio.to_thread.run_sync(_read_to_end, abandon_on_cancel=True)
    cancel_scope.cancel()


def _read_to_end() -> None:
    """Return at the end of standard input."""
    while os.read(0, READ_BYTES):
        pass


def _owner(account: SimAccount, *, standard_user: bool) -> int:
    """The extension that logs in: the first administrator, or the first user without that right.

    Raises:
        ValueError: The account has no such user.
    """
    for extension in account.extensions:
        if extension.type == "User" and not extension.mailbox_refused and extension.is_admin != standard_user:
            return extension.id
    raise ValueError(f"no extension of the account is {'a standard user' if standard_user else 'an admin'}")
