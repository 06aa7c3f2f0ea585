"""Mutants: small mistakes planted into a room, to see whether its unit tests find them.

    python -m tests.mutants [--rooms ROOM ...] [--count N] [--seed N] [--jobs N] [--files N] [--save FOLDER]

Mutants are drawn from all places of a room with a fixed seed, so each run plants the same ones as long as the room is
the same. A mutant is killed if a unit test fails that imports its module, or one that imports what imports it, nearest
first, or one of the tests of the room as a whole. The command copies the project: it changes nothing in the tree that
it is started from.
"""
