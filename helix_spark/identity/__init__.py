"""Change tracking: what identifies a result, and how two iterations differ.

Pure: reads code, values and versions, never Spark. It does not decide what to run; see `planner`. `signing` says by
parts what each node of a workflow is, and chains that from node to node. `code` traces a function or a value, walks
from it to all that it refers to, and `description` makes a part of each thing met. What that stands on has rooms of its
own; the second imports the first:

- `objects`: live objects as canonical bytes.
- `functions`: what the code of one function says (`function_part`).
"""
