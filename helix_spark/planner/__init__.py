"""What to load, compute and prune now, and what to keep: integer programs over derivations, and the plan as data.

Pure: numbers in, decisions out. It is the only room that imports PuLP, and it runs nothing.
"""
