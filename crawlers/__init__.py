"""The crawlers: one module for each concurrency style and library."""
