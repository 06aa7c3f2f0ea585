"""What is shown of each concept, decided once: plan, iteration, comparison, node, storage. Frozen data: words, numbers,
reasons and their order; the terminal, notebooks and pages only lay it out.
"""
