"""Records as one log of immutable files, looked up in an index, whatever the records mean."""
