"""Programs that touch a path which may be in a hung mount: each is run by a process of its own.

A program is run by its file with ``python -I -S``, so it imports the standard library and nothing of rcfs.
"""
