"""Who is at work on what, so that two processes with one catalog do not do the same, or delete what the other needs."""
