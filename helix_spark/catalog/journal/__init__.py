"""Delta tables of records, appended to and read without a JVM; they know nothing of what rows mean."""
