"""Drawn histories of edits: many runs against one catalog, in which reuse must never be false."""
