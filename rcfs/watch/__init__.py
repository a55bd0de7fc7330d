"""Watching a mount: metrics for Prometheus, notifications on the desktop, a bookmark, and `rcfs top`.

Each module is imported only where it is wanted, because some need optional packages.
"""
