"""Answers to questions of Spark: signed, looked up in the record, or sent to a server with all that they refer to."""
