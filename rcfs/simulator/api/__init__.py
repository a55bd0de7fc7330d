"""The endpoints of the platform, one module a group of them."""
