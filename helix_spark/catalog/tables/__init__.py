"""Stored tables and models: their folders, schemas and commits, reading, writing and checking them without a JVM."""
