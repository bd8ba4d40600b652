"""The delay server: it delays each response by what the request's URL asks for."""

__version__ = "0.1.0"
