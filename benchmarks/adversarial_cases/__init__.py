"""Projects and changes that try to fool the reuse of results."""

from benchmarks.adversarial_cases.case import Case
from benchmarks.adversarial_cases.code import CODE
from benchmarks.adversarial_cases.configuration import CONFIGURATION
from benchmarks.adversarial_cases.files import FILES
from benchmarks.adversarial_cases.identity import IDENTITY
from benchmarks.adversarial_cases.memos import MEMOS
from benchmarks.adversarial_cases.objects import OBJECTS
from benchmarks.adversarial_cases.odd import ODD
from benchmarks.adversarial_cases.packages import PACKAGES
from benchmarks.adversarial_cases.results import RESULTS
from benchmarks.adversarial_cases.same import SAME
from benchmarks.adversarial_cases.settings import SETTINGS
from benchmarks.adversarial_cases.surroundings import SURROUNDINGS
from benchmarks.adversarial_cases.tables import TABLES

CASES = [
    *CODE, *FILES, *PACKAGES, *SETTINGS, *TABLES, *CONFIGURATION, *OBJECTS, *IDENTITY, *RESULTS, *MEMOS, *SURROUNDINGS,
    *SAME, *ODD,
]

__all__ = ["CASES", "Case"]
