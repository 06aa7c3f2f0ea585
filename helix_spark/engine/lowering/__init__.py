"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value.

And what that says of itself: which columns it reads, what may differ each time. Does what one node takes, and knows
nothing of plans.
"""
