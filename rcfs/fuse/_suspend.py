"""Suspending the machine: whoever waits is answered before it, and may wait again after it.

The kernel freezes every process before it suspends, and cannot freeze one that waits for FUSE: it gives up
after 20 s, and the lid stays closed on a machine that is awake. logind says that it is about to begin, and
waits for those who hold a delay lock, 5 s by default. Source: org.freedesktop.login1(5), and
https://systemd.io/INHIBITOR_LOCKS.
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
"""How long the answers to 400 waiting processes may take, in seconds, before suspending goes on."""


async def answer_before_suspend(waits: Waits, recorder: Recorder) -> None:
    """Pauses `waits` whenever the machine is suspended; returns when there is no bus or logind to tell it."""
    try:
        await _watch(waits, recorder)
    except Exception as exc:  # noqa: BLE001 - whatever the bus does, the mount goes on without it
        recorder.note("suspending will not be noticed", reason=str(exc) or type(exc).__name__)
    finally:
        waits.resume()


async def _watch(waits: Waits, recorder: Recorder) -> None:
    """Takes a delay lock, and gives it up after each announcement of a suspend.

    Raises:
        Exception: There is no bus, it went away, or it or logind refused.
    """
    interface, path = _LOGIND.interface, _LOGIND.object_path
    # What logind sends has its unique name as the sender, so only the bus can tell that it is logind's.
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
                            recorder.note("suspending will be noticed")
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
