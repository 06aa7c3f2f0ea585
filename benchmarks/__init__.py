"""Measurements and trials. Each starts Spark for itself, but where it says that a server stays."""

import os

os.environ.setdefault("HELIX_SERVER", "off")
