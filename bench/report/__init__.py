"""Presents results: tables for people, CSV and JSON for programs."""
