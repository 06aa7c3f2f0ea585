"""What an author says of a metric: which way is better, and whether iterations are compared by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from helix_spark.errors import Location, OperatorError

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number among the outputs, as its author describes it.

    Attributes:
        name: of the output, or of a number in the dict that it is: ``macro_f1``, ``by_sex.female``.
        better: which way it is better; None where its name may tell.
        primary: whether iterations are compared by it.
    """

    name: str
    better: Better | None = None
    primary: bool = False

    def within(self, output: str) -> Metric:
        """Return the same by its whole name, of an output that is a dict.

        >>> Metric("f1").within("scores").name, Metric("auc").within("auc").name
        ('scores.f1', 'auc')
        """
        whole = self.name if self.name == output or self.name.startswith(f"{output}.") else f"{output}.{self.name}"
        return Metric(whole, self.better, self.primary)


def metric(name: str, *, better: Better | None = None, primary: bool = False) -> Metric:
    """Say of a number that a reducer returns which way is better, and whether iterations are compared by it:
    ``@wf.reducer(output=True, metrics=[hx.metric("macro_f1", better="higher", primary=True)])``.

    Args:
        name: that of the reducer, or of a number in the dict that it returns, as in ``by_sex.female``.
        better: "higher" or "lower"; where it is left out, the name tells.
        primary: pages, the log and plans go by this one; at most one of a workflow.

    Raises:
        OperatorError: `name` is no text, or `better` is something else.

    >>> metric("macro_f1", better="higher", primary=True)
    Metric(name='macro_f1', better='higher', primary=True)
    """
    if not isinstance(name, str) or not name:
        raise OperatorError(f"a metric is named by a text, not by {name!r}")
    if better is not None and better not in get_args(Better):
        raise OperatorError(f"a metric is better when it is 'higher' or 'lower', not {better!r}")
    return Metric(name, better, bool(primary))


def metrics_from(given: Any, where: Location | None) -> tuple[Metric, ...]:
    """Return what the option ``metrics=`` of a declaration names: one, or several.

    Raises:
        OperatorError: it holds something else.

    >>> metrics_from("auc", None), metrics_from([Metric("f1")], None)
    ((Metric(name='auc', better=None, primary=False),), (Metric(name='f1', better=None, primary=False),))
    """
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    found = tuple(metric(one) if isinstance(one, str) else one for one in several)
    strange = next((one for one in found if not isinstance(one, Metric)), None)
    if strange is not None:
        raise OperatorError(
            f"metrics= holds a {type(strange).__name__}", where=where,
            remedy='give hx.metric("name", better="higher", primary=True), or several of these as a list',
        )
    return found
