"""Data access monitoring (DAMON) as a service in user space."""

__version__ = "0.1.0"
