"""Views of plans, iterations, comparisons, nodes and storage: frozen data with words, numbers, reasons and their order.
The terminal, notebooks and pages only lay them out.
"""
