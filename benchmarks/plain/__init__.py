"""The jobs as a careful person writes them in plain PySpark, with the same answers.

Each has `answer(spark, keep)`, the outputs by name. What is worth keeping it makes through `keep(name, make)`, which is
where systems differ: for this run only, for the session, or as files.
"""
