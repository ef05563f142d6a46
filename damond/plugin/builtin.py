"""The policies that damond brings: offered as a stranger's are, and always there."""

from collections.abc import Sequence
from typing import Final

from damond.core import Policy
from damond.core.policies.fraction import FractionPolicy
from damond.core.policies.kernel import KernelPolicy
from damond.plugin.hookspecs import hookimpl

damond_api_version: Final = 1


@hookimpl
def damond_policies() -> Sequence[type[Policy]]:
    """Offer all of them."""
    return [KernelPolicy, FractionPolicy]
