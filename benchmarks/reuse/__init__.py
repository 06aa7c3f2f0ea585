"""Oracles of reuse: what must run after an edit, what may be reused, and whether the answer is right."""
