"""What Spark code builds. Functions of tables are called on stand-ins with PySpark's Connect client, which builds its
plans in Python alone; what they return is identified by its plan. No JVM, no socket. The only room that imports
`pyspark.sql.connect`, and what is replaced in it is in `replaced_in_pyspark`."""
