"""A deterministic simulation of a catalog: its clock, its disk, and two to five drivers on it, under one seed.

    python -m tests.interleavings --histories 50000 [--seed N] [--mutants] [--replay SEED] [--save FOLDER]

The catalog's own code runs in it: catalog, records with their upkeep and repair, leases, leftovers, layout. Simulated
is what it rests on, each behind the front that the code knows: the place (`disk`, with the semantics of an object
store: files appear whole, conditional writes), the clock and the processes (`world`). Each driver has an index of the
records in memory. Every touch of the disk and every failpoint is a point at which a driver may be stopped, for a
millisecond or for days, may die, or may lose the answer to what it asked. In some histories the disk damages a file.

After each history everything is read anew and compared with what the drivers were told (`checks`). That the checks can
fail is shown by planted mistakes (`mutants`), each of which is found.
"""
