"""The author's project: its files loaded as workflows, and watched while somebody edits them."""
