"""The chapter's second experiment: compute items, and save each one to a slow service."""
