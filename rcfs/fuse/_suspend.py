"""Suspend: all waiting processes get an answer before it, and may wait again after it.

The kernel freezes all processes before it suspends, and cannot freeze one that waits for FUSE. It gives up
after 20 s, so a laptop stays awake with its lid closed. logind announces the suspend, and waits for holders
of a delay lock, 5 s by default. Source: org.freedesktop.login1(5), and https://systemd.io/INHIBITOR_LOCKS.
"""

import trio
from jeepney import DBusAddress, MatchRule, MessageType, message_bus, new_method_call
from jeepney.fds import FileDescriptor
from jeepney.io.trio import open_dbus_connection
from jeepney.wrappers import unwrap_msg

from rcfs.files import Waits
from rcfs.transport import Recorder

_LOGIND = DBusAddress(
    "/org/freedesktop/login1", bus_name="org.freedesktop.login1", interface="org.freedesktop.login1.Manager"
)
_SIGNAL = "PrepareForSleep"
_ANSWERED_WITHIN_S = 0.25
"""Time in seconds for the answers to 400 waiting processes, after which rcfs releases the lock."""


async def answer_before_suspend(waits: Waits, recorder: Recorder) -> None:
    """Pauses `waits` while the machine is suspended; returns if no bus or logind announces suspends."""
    try:
        await _watch(waits, recorder)
    except Exception as exc:  # noqa: BLE001 - the mount works without the bus
        recorder.note("suspend watch failed", reason=str(exc) or type(exc).__name__)
    finally:
        waits.resume()


async def _watch(waits: Waits, recorder: Recorder) -> None:
    """Takes a delay lock, and releases it after each announcement of a suspend.

    Raises:
        Exception: There is no bus, the connection broke, or the bus or logind refused.
    """
    interface, path = _LOGIND.interface, _LOGIND.object_path
    # Signals carry the unique name of logind, so only the bus can match them by its well-known name.
    told = MatchRule(type="signal", sender=_LOGIND.bus_name, interface=interface, member=_SIGNAL, path=path)
    heard = MatchRule(type="signal", interface=interface, member=_SIGNAL, path=path)
    reason = "Answering the processes that wait for content"
    inhibit = new_method_call(_LOGIND, "Inhibit", "ssss", ("sleep", "rcfs", reason, "delay"))
    lock: FileDescriptor | None = None
    # Without jeepney's router, which drops replies with their descriptors when it is cancelled.
    connection = await open_dbus_connection("SYSTEM", enable_fds=True)
    async with connection:
        try:
            await connection.send(message_bus.AddMatch(told))
            await connection.send(inhibit)
            while True:
                message = await connection.receive()
                if message.header.message_type in (MessageType.method_return, MessageType.error):
                    for value in unwrap_msg(message):
                        if isinstance(value, FileDescriptor):
                            lock = value
                            recorder.note("suspend watch started")
                elif heard.matches(message):
                    (begins,) = message.body
                    if begins:
                        recorder.note("suspending", waiting=waits.waiting)
                        waits.pause()
                        await trio.sleep(_ANSWERED_WITHIN_S)
                        if lock is not None:
                            lock.close()
                    else:
                        recorder.note("resumed")
                        waits.resume()
                        await connection.send(inhibit)
        finally:
            if lock is not None:
                lock.close()
