"""The command line: read arguments, call `Helix`, print."""
