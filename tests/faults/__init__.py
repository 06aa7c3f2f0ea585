"""Faults: each is injected many times, and each time what must happen is compared with what happens.

    python -m tests.faults [--short] [--only WORDS] [--save FOLDER]

A row is one fault. An injection is right if no wrong answer was given, nothing that was stored or recorded was lost
that could be saved, nothing hung, and the catalog is usable afterwards: by itself, or after one `helix repair`.
"""

import os

# Each fault starts Spark for itself, except where a row says that a server stays.
os.environ.setdefault("HELIX_SERVER", "off")
