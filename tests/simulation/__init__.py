"""Simulated work on workflows: shapes, costs, edit scripts, and a replay that runs a policy through them."""
