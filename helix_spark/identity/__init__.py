"""Change tracking: the identities of results, and the differences of two iterations.

It reads code, values and versions, never Spark, and does not decide what to run; see `planner`. `signing` describes
each node of a workflow by parts, and chains signatures from node to node. `code` traces a function or a value and all
that it refers to; `description` makes a part of each object. They are built on two rooms:

- `objects`: canonical bytes of live objects.
- `functions`: the canonical code of one function (`function_part`), built on `objects`.
"""
