"""The command line: reads arguments, calls `Helix`, prints. It holds no logic of its own."""
