"""Execution: what a plan says is done, in units of work, and what each node took is measured. Stores nothing."""
