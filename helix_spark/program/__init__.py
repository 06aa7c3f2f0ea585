"""Plain PySpark programs, unchanged: what they ask Spark is answered from the record where it was answered before."""
