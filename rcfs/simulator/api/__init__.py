"""The endpoints of the platform, one module per group."""
