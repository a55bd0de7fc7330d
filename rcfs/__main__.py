"""``python -m rcfs`` is the ``rcfs`` command."""

from rcfs.cli import main

main()
