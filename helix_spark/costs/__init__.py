"""The cost model of results, and the forecast of the next edit."""
