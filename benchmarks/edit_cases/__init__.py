"""Edits of workflows as text, what each of them must lead to, and the runs that show whether it does."""
