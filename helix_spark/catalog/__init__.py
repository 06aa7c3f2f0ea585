"""Prior results: records of iterations, and stored tables, models and values.

    catalog      the front: all writes
      catalog_reader        all reads; `history` and `known_results` are parts of it
      shared_catalogs       read-only catalogs of a team below it; `publishing` copies an iteration to one
      records               the types of records, with rules for their fields
      known_results, history, artifacts            queries of the records
      verification          checks of stored results, and repair
    tables/      stored tables and models: a folder each; written, checked and read without a JVM
    segments/    all records as one log: appended to (`record_log`), looked up (`record_index`), kept short (`folding`)
    leases.py    locks of processes, so that none deletes a folder that another writes
    places/      the folder itself, on a disk or in an object store: see `Place`

The path of a result and its record:

1. `Catalog.begin_attempt` returns a folder that no other writer has, under a lease of its own.
2. A result is written there; `written_digest` takes a table's digest, `write_manifest` writes a manifest next to it.
3. `Catalog.publish` syncs the folder and appends the record, unless the signature is live already. An append makes one
   file of the next number, which fails where another process took the number.
4. `Catalog.sync` makes all records survive a power loss. Only then is the result reported as stored.
5. `CatalogReader.snapshot` reads the live results for plans; files are compared with the record before they are loaded.
6. `evict_all` and `quarantine` record an end, sync it, then delete the folder. An end is final.
7. `gc` finds folders that no live record names; `maintain` folds the log's small files.

Nothing here is ever unpickled, and nothing here decides what to keep; see `planner`.
"""
