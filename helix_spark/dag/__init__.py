"""The compiled form of a workflow: a frozen graph of ordered, checked and merged nodes, without costs or results."""
