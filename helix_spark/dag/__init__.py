"""The compiled form of a workflow: a frozen graph of nodes.

Pure. It orders, checks, slices and merges; it does not know what a result costs or whether it is stored.
"""
