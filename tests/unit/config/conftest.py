"""A home of its own for every test, and an in-memory keyring."""

from tests.fakes.home import home, state_dir, vault

__all__ = ["home", "state_dir", "vault"]
