"""The ``rcfs`` command, and ``python -m rcfs``. Only here loading a module has an effect.

It is there before anything else is loaded, which takes 0.2 s: Ctrl-C ends the process without a trace.
"""

# Built in: the module signal takes a while to load itself, and an interrupt in it would show a trace.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from rcfs._interrupt import quit_on_interrupt

quit_on_interrupt()

from rcfs.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
