"""Faults on demand: what goes wrong, and how."""
