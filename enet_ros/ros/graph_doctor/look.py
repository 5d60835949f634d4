"""One look at the running graph: from the settings of this machine to every node of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from enet_ros.ros.graph_doctor.findings import Finding, Kind
from enet_ros.ros.graph_doctor.graph_findings import graph_findings
from enet_ros.ros.graph_doctor.machine_settings import (
    environment_findings,
    local_nodes,
    process_findings,
    settings_of,
    shared_memory_findings,
)
from enet_ros.ros.graph_doctor.nav2_file import read_nav2_file
from enet_ros.ros.graph_doctor.observer import open_observer


@dataclass
class GraphReport:
    """What one look found.

    Attributes:
        nodes: Names of our nodes.
        findings: Everything that was found, the worst first.
    """

    nodes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def look_at_graph(environment: dict[str, str], node: str = '', nav2: str = '',
                  seconds: float = 3.0) -> GraphReport:
    """Look at the running graph.

    Args:
        environment: Variables of this process.
        node: Name of the node to look at, or '' for all of ours.
        nav2: Path of a Nav2 parameter file to compare with, or ''.
        seconds: How long to listen to each node.

    Raises:
        ValueError: The Nav2 file cannot be read.
        OSError: The Nav2 file is not there.
    """
    sources = read_nav2_file(Path(nav2)) if nav2 else []
    topics = [item for source in sources for item in source.topics.items()]
    settings = environment_findings(environment)
    if any(finding.kind is Kind.DOMAIN_ID for finding in settings):
        return GraphReport(findings=settings)
    report = GraphReport()
    with open_observer() as observer:
        report.nodes = observer.find(node)
        for name in report.nodes:
            report.findings += graph_findings(observer.observe(name, seconds, topics), sources)
        others = len(observer.names())
        nameless = observer.nameless_topics()
    if nameless:
        report.findings.append(Finding(
            Kind.NO_NODE_INFO, f"{', '.join(nameless)} {'has' if len(nameless) == 1 else 'have'} "
                               'a publisher whose node is not known'))
    own = settings_of(environment)
    elsewhere = process_findings(local_nodes(), own, is_error=not report.nodes)
    if not report.nodes and (node or nav2):
        report.findings.append(Finding(
            Kind.NO_NODE, f"node '{node or 'of enet_ros'}' is not in domain "
                          f'{own["ROS_DOMAIN_ID"]}, which has {others} other nodes'))
    if report.nodes or elsewhere or node or nav2:
        report.findings += [*elsewhere, *settings, *shared_memory_findings()]
    report.findings.sort(key=lambda finding: -finding.severity)
    return report
