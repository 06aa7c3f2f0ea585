"""Change tracking: what identifies a result, and how two iterations differ.

Pure: reads code, values and versions, never Spark. It does not decide what to run; see `planner`. `signing` gives a
workflow its signatures; what it stands on has rooms of its own, each of which imports none but those before it:

- `text`: the text of code, and its normal form.
- `objects`: live objects as canonical bytes.
- `functions`: what the code of one function names, reaches, draws and reads.
"""
