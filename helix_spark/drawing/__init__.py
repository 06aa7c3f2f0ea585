"""Pictures of graphs: where each node stands, and inline SVG without scripts, for notebooks and pages alike.

Pure: names, marks and texts in, coordinates and text out. It knows nothing of workflows, plans or records.
"""

from helix_spark.drawing.graph import DrawnGraph, DrawnNode, Stored
from helix_spark.drawing.groups import Picture, picture_of
from helix_spark.drawing.layout import layout
from helix_spark.drawing.svg import svg

__all__ = ["DrawnGraph", "DrawnNode", "Picture", "Stored", "layout", "picture_of", "svg"]
