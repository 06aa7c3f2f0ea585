"""One run of a workflow, from the recorded results to the record of the iteration.

`steps` lists the steps of plans, runs and audits from top to bottom; they pass on a `run.Run`.

Workflows and programs are both recorded by `recording` and kept by `retention`: a workflow's results come from
`workflow_results`, a program's from `program.served_results`.
"""
