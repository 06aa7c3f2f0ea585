"""The folder of a catalog, on a disk or in an object store, and the files in it."""
