"""Runs the whole contract against a crawler: all groups of rules, in one table."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from bench.contract.body_rules import body_rules
from bench.contract.failure_rules import departure_rules, refusal_rules, resend_rules
from bench.contract.fault_rules import fault_rules
from bench.contract.faults import AllPlayed, play_faults
from bench.contract.open_loop_rules import open_loop_rules
from bench.contract.plain_rules import plain_rules
from bench.contract.rules import MUST, Finding, RuleGroup
from bench.contract.runs import BrokenError, ContractRunner
from bench.contract.slot_rules import slot_rules
from bench.plan.entrants import Entrant
from crawlers.registry import find
from server.process import ServerProcess

_PLAIN = RuleGroup("A plain run comes to an end and leaves its records", plain_rules)

GROUPS = (
    _PLAIN,
    RuleGroup("A run with a delay comes to an end", slot_rules),
    RuleGroup("A run in open loop comes to an end", open_loop_rules),
    RuleGroup("A server that is not there does not end the crawl", refusal_rules),
    RuleGroup("Responses of any size are read", body_rules),
    RuleGroup("A server that misbehaves does not end the crawl", fault_rules),
    RuleGroup("Many failures at once do not end the crawl", resend_rules),
    RuleGroup("A server that stops during a run does not end the crawl", departure_rules),
)
"""All groups of rules, in the order in which they are checked."""


def check_contract(
    entrant: Entrant, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Yield a finding for every rule; `environment` is added to that of the crawler.

    Raises server.process.ServerStartError.
    """
    with ServerProcess() as server:
        runner = ContractRunner(entrant, find(entrant.crawler), server, environment)
        for group in GROUPS:
            try:
                for rule in group.rules(runner):
                    yield rule.finding()
            except BrokenError as broken:  # the run that these rules share has failed
                yield Finding(MUST, group.title, False, str(broken))
                if group is _PLAIN:
                    evidence = "not checked: even a plain run fails"
                    yield Finding(MUST, "the other rules", False, evidence)
                    return


def check_faults(entrant: Entrant) -> AllPlayed:
    """Play only the faults, and return what both ends saw. Raises ServerStartError."""
    with ServerProcess() as server:
        return play_faults(ContractRunner(entrant, find(entrant.crawler), server, {}))
