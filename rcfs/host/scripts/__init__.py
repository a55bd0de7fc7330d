"""Programs that touch a path which may be in a hung mount, each run in a separate process.

``python -I -S`` runs the file of a program, so it imports only the standard library.
"""
