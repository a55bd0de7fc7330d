"""Events that one part of the program publishes and others subscribe to."""

from collections.abc import Callable
from typing import Generic, TypeVar

from rcfs.transport._recorder import Recorder

E = TypeVar("E")


class Listeners(Generic[E]):
    """The subscribers of events of type `E`; for the event loop only."""

    def __init__(self, recorder: Recorder) -> None:
        """Starts without listeners; `recorder` logs those that fail."""
        self._recorder = recorder
        self._listeners: list[Callable[[E], None]] = []

    def subscribe(self, listener: Callable[[E], None]) -> Callable[[], None]:
        """Calls `listener` with every later event; returns a function that ends this.

        `tell` calls the listener directly, so it must not wait.
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
        """Calls every listener, the oldest first; an error of one does not stop the others."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as exc:  # noqa: BLE001 - the other listeners must still hear of the event
                self._recorder.crash("listener", exc)
