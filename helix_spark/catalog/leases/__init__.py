"""Leases, so that two processes with one catalog do not do the same work, or delete what the other needs."""
