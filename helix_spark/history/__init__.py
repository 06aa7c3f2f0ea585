"""What ran, as people ask about it: iterations found and compared, their metrics, tables and states, in words. Pure: it
is told records, and reads no files.
"""
