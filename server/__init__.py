"""The delay server: it answers each request as late as the request's own URL asks."""

__version__ = "0.1.0"
