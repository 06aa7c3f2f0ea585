"""Answers questions of Spark: signed, looked up in the record, or sent to a server with what it has to hold first."""
