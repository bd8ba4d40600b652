"""Crawls of a whole generated site: what it is, how spiders did, and the report of it."""
