"""Limiters: each decides how many fetches may be in flight, from how those before have ended."""
