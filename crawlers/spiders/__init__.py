"""Spiders: crawlers that find their work by following links."""
