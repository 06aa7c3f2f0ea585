"""Results while a session lives: had in memory, pinned there, loaded from a catalog, stored in one."""
