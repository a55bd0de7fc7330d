"""Events and their listeners."""

import structlog

from rcfs.transport import Listeners, Recorder


def test_each_listener_gets_events_until_it_unsubscribes() -> None:
    listeners: Listeners[int] = Listeners(Recorder(structlog.get_logger()))
    one: list[int] = []
    other: list[int] = []
    end_one = listeners.subscribe(one.append)
    listeners.subscribe(other.append)
    listeners.tell(1)
    end_one()
    end_one()
    listeners.tell(2)
    assert (one, other) == ([1], [1, 2])


def test_a_listener_that_subscribed_twice_can_unsubscribe_once() -> None:
    listeners: Listeners[int] = Listeners(Recorder(structlog.get_logger()))
    heard: list[int] = []
    end = listeners.subscribe(heard.append)
    listeners.subscribe(heard.append)
    end()
    end()
    listeners.tell(1)
    assert heard == [1]


def test_the_error_of_a_listener_is_logged_and_the_others_get_the_event() -> None:
    logger = structlog.testing.CapturingLogger()
    listeners: Listeners[int] = Listeners(Recorder(logger))
    heard: list[int] = []

    def fail(_event: int) -> None:
        raise ValueError("no")

    listeners.subscribe(fail)
    listeners.subscribe(heard.append)
    listeners.tell(1)
    assert heard == [1]
    assert [call.method_name for call in logger.calls] == ["error"]


def test_a_listener_may_unsubscribe_during_an_event() -> None:
    listeners: Listeners[int] = Listeners(Recorder(structlog.get_logger()))
    heard: list[int] = []

    def hear_once(event: int) -> None:
        heard.append(event)
        end()

    end = listeners.subscribe(hear_once)
    listeners.subscribe(lambda event: heard.append(-event))
    listeners.tell(1)
    listeners.tell(2)
    assert heard == [1, -1, -2]
