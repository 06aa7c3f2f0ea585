"""Policies by the names they have on the command line."""

from __future__ import annotations

from helix_spark.errors import ParameterError, nearest
from helix_spark.planner.joint import Joint
from helix_spark.planner.policies import Always, Never, OnlineRule
from helix_spark.planner.storage import Policy

POLICIES: dict[str, Policy] = {
    policy.name: policy for policy in (Never(), Always(), OnlineRule(), OnlineRule(purge=True), Joint())
}


def policy_named(name: str) -> Policy:
    """Return the policy of a name.

    Raises:
        ParameterError: there is none, with the nearest name.

    >>> policy_named("never").name
    'never'
    """
    if name not in POLICIES:
        raise ParameterError(f"there is no policy {name!r}", remedy=nearest(name, POLICIES))
    return POLICIES[name]
