"""Puts the parts of an engine together from the settings: stores, ledger, connection.

The modules are imported one by one, because some load httpx and trio, and quick commands need neither.
"""
