"""Plans that PySpark's Connect client builds in Python: recorded, made canonical, inspected and identified without a
JVM or a socket. `replaced_in_pyspark` has the replacements in pyspark that this needs."""
