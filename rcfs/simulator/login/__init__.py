"""Logins, and the permissions of app and user."""
