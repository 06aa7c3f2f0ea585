"""The text of code: its scopes, its normal form, where in a file it is found. Runs nothing, knows no live object."""
