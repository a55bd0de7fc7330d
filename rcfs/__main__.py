"""The ``rcfs`` command, and ``python -m rcfs``. Only this module has an effect when it is loaded.

It sets up Ctrl-C before it loads the other modules, which takes 0.2 s, so that an interrupt then prints no
traceback.
"""

# The built-in module: loading `signal` takes a while, and an interrupt during that would print a traceback.
import _signal  # type: ignore[import-not-found]  # typeshed leaves it out

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from rcfs._interrupt import loading

with loading():
    from rcfs._shared_repr import share_repr

    share_repr()
    from rcfs.cli import main

if __name__ == "__main__":
    main()
