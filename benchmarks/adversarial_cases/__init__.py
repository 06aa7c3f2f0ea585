"""Projects and changes that try to fool the reuse of results."""

from benchmarks.adversarial_cases.case import Case
from benchmarks.adversarial_cases.code import CODE
from benchmarks.adversarial_cases.files import FILES
from benchmarks.adversarial_cases.packages import PACKAGES
from benchmarks.adversarial_cases.same import SAME
from benchmarks.adversarial_cases.settings import SETTINGS
from benchmarks.adversarial_cases.tables import TABLES

CASES = [*CODE, *FILES, *PACKAGES, *SETTINGS, *TABLES, *SAME]

__all__ = ["CASES", "Case"]
