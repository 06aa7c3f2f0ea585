"""Pictures of graphs as inline SVG without scripts, for notebooks and web pages; independent of plans and records."""

from helix_spark.drawing.graph import DrawnGraph, DrawnNode, Stored
from helix_spark.drawing.groups import Picture, picture_of
from helix_spark.drawing.layout import layout
from helix_spark.drawing.svg import svg

__all__ = ["DrawnGraph", "DrawnNode", "Picture", "Stored", "layout", "picture_of", "svg"]
