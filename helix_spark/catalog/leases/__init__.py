"""Leases, so that two processes with one catalog do not repeat work, or delete each other's files."""
