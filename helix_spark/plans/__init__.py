"""What Spark code builds: PySpark's Connect client writes plans in Python alone, and here they are made canonical,
looked at and identified. No JVM, no socket. What is replaced in pyspark for that is in `replaced_in_pyspark`."""
