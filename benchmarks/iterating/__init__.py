"""What `benchmarks/iterations.py` is made of: systems, three ways to drive them, and what is made of the figures."""
