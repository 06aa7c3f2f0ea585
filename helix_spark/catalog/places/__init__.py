"""Where a catalog lies: a folder on a disk or in an object store, the files in it, and which are where."""
