"""Web pages that show a catalog: iterations, graphs, differences, metrics, storage.

They are rendered from records, without a JVM or user code, and change nothing. They can be read without scripts, which
only highlight, draw plots, open panels, and refresh the progress of a run.
"""
