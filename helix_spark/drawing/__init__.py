"""Pictures of graphs: their layout, and inline SVG without scripts, for notebooks and web pages.

Pure: from names and texts to coordinates and SVG, independent of workflows, plans and records.
"""

from helix_spark.drawing.graph import DrawnGraph, DrawnNode, Stored
from helix_spark.drawing.groups import Picture, picture_of
from helix_spark.drawing.layout import layout
from helix_spark.drawing.svg import svg

__all__ = ["DrawnGraph", "DrawnNode", "Picture", "Stored", "layout", "picture_of", "svg"]
