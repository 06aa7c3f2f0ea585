"""Records as one log of immutable files, appended to and looked up in an index; what records mean it does not know."""
