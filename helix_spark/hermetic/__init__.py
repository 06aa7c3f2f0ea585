"""Runs the author's Python as a build system runs an action: what it draws follows from a seed, what it reads is seen.

On the driver: ``with in_action(Action(seed))``, then `Action.observed_inputs`. In workers: ``guarded(function)`` is
pickled in place of a function, ``with written_for(Purpose(seed, reports.folder))``; after a job what it did is had of
the `WorkerReports` by ``reports.take([seed])``.

Needs nothing but Python's own library, and no other room: Spark's workers may get its code by value.
"""
