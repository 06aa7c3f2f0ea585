"""Web pages that show a catalog: iterations, graphs, differences, metrics, storage.

Reads records, no JVM and no user code; changes nothing. Everything is rendered here and can be read without scripts:
the one that there is only highlights, and refreshes what is still running.
"""
