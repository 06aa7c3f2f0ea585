"""One iteration of a workflow, from what is on record to what is recorded of it.

`steps` is the way from top to bottom: named steps that plans, runs and audits go through, each as far as it goes. `run`
is what they hand on, with one row a node (`planner.known_node` up to the plan, `node_run` from the answer on).
"""
