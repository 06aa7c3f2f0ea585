"""A workflow as a notebook shows it: what is declared, before anything is checked or planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import cell

if TYPE_CHECKING:
    from helix_spark.workflow.workflow import Workflow


def workflow_text(workflow: Workflow) -> str:
    """Return a line for each node."""
    width = max((len(declared.name) for declared in workflow.declarations), default=0)
    lines = [f"{workflow.name}: {len(workflow.declarations)} nodes"]
    for one in workflow.declarations:
        reads = f" <- {', '.join(one.inputs)}" if one.inputs else ""
        lines.append(f"  {one.name:{width}}  {one.kind}{reads}{' (output)' if one.name in workflow.outputs else ''}")
    return "\n".join(lines)


def workflow_html(workflow: Workflow) -> str:
    """Return the graph, and a table of the nodes."""
    declared = workflow.declarations
    parameters = ", ".join(f"{name}={value!r}" for name, value in workflow.parameters.items())
    graph = DrawnGraph(
        tuple(
            DrawnNode(one.name, one.inputs, kind=one.kind, note="output" if one.name in workflow.outputs else "")
            for one in declared
        ),
        title=f"workflow {workflow.name}",
    )
    rows = [(one.name, one.kind, ", ".join(one.inputs), str(one.where or "")) for one in declared]
    return cell("cell_workflow.html", name=workflow.name, parameters=parameters, graph=graph, rows=rows)
