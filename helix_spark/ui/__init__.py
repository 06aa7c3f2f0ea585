"""Web pages that show a catalog: iterations, graphs, differences, metrics, storage.

Reads records, without a JVM or user code; changes nothing. Everything is rendered here and can be read without scripts:
they only highlight, draw plots, open panels, and refresh what is still running.
"""
