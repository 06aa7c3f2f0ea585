"""What the author writes: operators, sources and the workflow that holds them.

Pure: declaring touches no Spark object and starts nothing. It does not order or check the graph; see `dag`.
"""
