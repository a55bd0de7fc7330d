"""Faults on demand: their effects, and the requests that they apply to."""
