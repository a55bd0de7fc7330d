"""The engines of this process: one for each state directory and login, whatever asks for it.

Two engines of one process would take each other's claims, and the quota's ledger could not tell them apart.
So they are shared by all file systems and threads. A process that was forked has none, and opens its own. One
that is forked in the middle of a transaction finds that database locked for good; spawned ones are safe.
"""

import atexit
import os
import threading
from functools import partial
from typing import ClassVar

import attrs

from rcfs.config import Settings
from rcfs.errors import ConfigError
from rcfs.spec._engine import EngineThread, open_paths
from rcfs.spec._options import Options
from rcfs.store import lock_inherited


class Engines:
    """All engines of this process. Its state belongs to the process, as the engines do."""

    _lock: ClassVar = threading.Lock()
    _engines: ClassVar[dict[Options, tuple[Settings, EngineThread]]] = {}
    _of_parent: ClassVar[list[object]] = []
    """The engines of the parent of a forked process, which must not close them."""
    _is_watched: ClassVar = False
    """Whether the end and the forks of the process are watched."""

    @classmethod
    def running(cls, options: Options) -> EngineThread | None:
        """The engine for `options`, if it is there; never waits."""
        found = cls._engines.get(options)
        return None if found is None or found[1].is_over else found[1]

    @classmethod
    def get(cls, options: Options) -> EngineThread:
        """The engine for `options`, which may still be opening; reads the settings if it is new.

        Raises:
            ConfigError: An option is wrong, credentials are missing, or the process uses the same state
                directory with other settings.
        """
        running = cls.running(options)
        if running is not None:
            return running
        with cls._lock:
            running = cls.running(options)
            if running is not None:
                return running
            settings = options.settings()
            engine = cls._shared(settings) or EngineThread(
                partial(open_paths, settings, is_forked=bool(cls._of_parent))
            )
            cls._engines[options] = settings, engine
            cls._watch()
            return engine

    @classmethod
    def _shared(cls, settings: Settings) -> EngineThread | None:
        """The engine that other options have opened for the same state directory and login."""
        login = settings.require_credentials().identity
        for others, engine in cls._engines.values():
            is_same = (
                others.state_dir == settings.state_dir and others.require_credentials().identity == login
            )
            if not is_same or engine.is_over:
                continue
            if attrs.evolve(others, config_path=settings.config_path) != settings:
                raise ConfigError(
                    f"this process uses {settings.state_dir} with other options already; use the same ones,"
                    " or call close() first"
                )
            return engine
        return None

    @classmethod
    def close(cls, options: Options) -> None:
        """Closes the engine for `options`, for all who share it; the next `get` opens another."""
        running = cls.running(options)
        if running is not None:
            running.close()

    @classmethod
    def _close_all(cls) -> None:
        for _settings, engine in cls._engines.values():
            engine.close()

    @classmethod
    def _watch(cls) -> None:
        if not cls._is_watched:
            cls._is_watched = True
            atexit.register(cls._close_all)
            os.register_at_fork(after_in_child=cls._forget)

    @classmethod
    def _forget(cls) -> None:
        for settings, _engine in cls._engines.values():
            lock_inherited((settings.state_dir, settings.cache_dir))
        cls._of_parent.append(cls._engines)
        cls._engines = {}
        cls._lock = threading.Lock()
