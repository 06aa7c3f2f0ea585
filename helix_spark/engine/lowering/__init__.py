"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value."""
