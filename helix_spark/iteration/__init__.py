"""One iteration of a workflow, from what is on record to what is recorded of it.

`preparation` brings a workflow and a catalog to the situation that a plan starts from, without Spark; `running` has the
engine execute the plan and gives the answer; `after_answer` records and keeps what was made, behind it.
"""
