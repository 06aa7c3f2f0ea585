"""Run the author's Python as a build system runs an action: its draws follow from a seed, its reads are observed.

On the driver: ``with in_action(Action(seed))``, then `Action.observed_inputs`. In workers: ``guarded(function)`` is
pickled in place of a function, ``with written_for(Purpose(seed, reports.folder))``; after a job,
``reports.take([seed])`` of `WorkerReports` returns its observed inputs.

The room uses only Python's own library and no other room: Spark's workers may get its code by value.
"""
