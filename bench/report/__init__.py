"""Says it: tables for people, CSV and JSON for programs."""
