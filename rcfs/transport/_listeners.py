"""How one part of the program tells others what has happened, without knowing them."""

from collections.abc import Callable
from typing import Generic, TypeVar

from rcfs.transport._recorder import Recorder

E = TypeVar("E")


class Listeners(Generic[E]):
    """Those who are told of events of type `E`; for the event loop only."""

    def __init__(self, recorder: Recorder) -> None:
        """Nobody listens yet; `recorder` is told of listeners that fail."""
        self._recorder = recorder
        self._listeners: list[Callable[[E], None]] = []

    def subscribe(self, listener: Callable[[E], None]) -> Callable[[], None]:
        """Calls `listener` with every event from now on, until the function that this returns is called.

        It is called while the event happens, so it must not wait.
        """

        # One entry for each call: a listener that subscribed twice can unsubscribe once.
        def entry(event: E) -> None:
            listener(event)

        def unsubscribe() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        self._listeners.append(entry)
        return unsubscribe

    def tell(self, event: E) -> None:
        """Calls every listener, the oldest first; one that raises does not stop the others."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as exc:  # noqa: BLE001 - what has happened has happened; the others must know
                self._recorder.crash("listener", exc)
