"""Pictures of graphs as inline SVG without scripts, for notebooks and web pages; independent of plans and records."""
