"""Live objects: where they come from, what they hold, and the canonical bytes of it. Or why they have none."""
