"""Spark itself: Java and the jars, the driver's JVM, the session and its settings. Knows no workflow and no plan."""
