"""One iteration of a workflow, from what is on record to what is recorded of it.

`steps` is the way from top to bottom: named steps that plans, runs and audits go through, each as far as it goes. `run`
is what they hand on.

Both fronts are recorded by `recording` and kept by `retention`: a workflow's results are handed over by
`workflow_results`, a script's by `program.served_results`.
"""
