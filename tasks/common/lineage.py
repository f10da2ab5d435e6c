"""Where an artifact comes from and what was made from it, as a graph with all that is known."""

from dataclasses import dataclass
from typing import Any

import networkx as nx
from pydantic import AwareDatetime, Field
from rich.text import Text
from rich.tree import Tree

from schemas.entities import Artifact, ArtifactRef, Entity, QCMetric
from tasks.common.catalogue import Catalogue


class ArtifactStory(Entity):
    """One artifact of a lineage and the run that made it.

    Of an artifact that the catalogue no longer lists only the ref is known (`listed` is false).
    """

    ref: ArtifactRef
    listed: bool = True
    stage: str = ""
    session: str = ""
    key_figure: str = ""
    created: AwareDatetime | None = None
    bytes: int = 0
    digest: str = ""
    fingerprint: str = ""
    param_hash: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    metrics: tuple[QCMetric, ...] = ()
    run_id: str = ""
    flow_run: str = ""
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None
    environment_hash: str = ""
    environment: dict[str, Any] = Field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """How long the run took."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def worst_verdict(self) -> str:
        """The worst of the quality verdicts; empty if nothing was judged."""
        found = {metric.verdict for metric in self.metrics}
        return next((verdict for verdict in ("fail", "warn", "pass") if verdict in found), "")


@dataclass(frozen=True)
class Lineage:
    """The relatives of one artifact.

    target : the artifact
    graph : parent -> child over ArtifactRefs; each node's `story` is its ArtifactStory
    """

    target: ArtifactRef
    graph: "nx.DiGraph[ArtifactRef]"

    def story(self, ref: ArtifactRef) -> ArtifactStory:
        """Return what is known of one artifact of this lineage."""
        story: ArtifactStory = self.graph.nodes[ref]["story"]
        return story

    def stories(self) -> list[ArtifactStory]:
        """Return every artifact, parents before children."""
        order = nx.lexicographical_topological_sort(self.graph, key=str)
        return [self.story(ref) for ref in order]

    def to_plain(self) -> dict[str, Any]:
        """Return the graph as JSON values: target, artifacts, edges."""
        return {
            "target": self.target.model_dump(),
            "artifacts": [
                story.model_dump(mode="json", exclude={"environment"}) for story in self.stories()
            ],
            "edges": [[str(parent.id), str(child.id)] for parent, child in self.graph.edges],
        }

    def to_tree(self) -> Tree:
        """Return the target with what it was made from below it, and what was made from it.

        A parent that is also a grandparent hangs below the parent only.
        """
        tree = Tree(_label(self.story(self.target)))
        _grow(tree, self, nx.transitive_reduction(self.graph), self.target, set())
        if children := list(self.graph.successors(self.target)):
            branch = tree.add(Text("made from it", style="italic"))
            for child in children:
                branch.add(_label(self.story(child)))
        return tree


def trace_lineage(catalogue: Catalogue, ref: ArtifactRef, *, progeny: bool = False) -> Lineage:
    """Return all ancestors of an artifact and, with `progeny`, all that was made from it.

    Raises
    ------
    NotFoundError
        The catalogue does not list the artifact.
    """
    catalogue.get(f"{ref.kind}/{ref.id}")
    steps = catalogue.ancestry(ref.id)
    if progeny:
        steps += catalogue.progeny(ref.id)
    graph: nx.DiGraph[ArtifactRef] = nx.DiGraph()
    graph.add_node(ref)
    graph.add_edges_from(steps)
    listed = {artifact.ref: artifact for artifact in catalogue.find_all(r.id for r in graph)}
    for node in list(graph):
        found = listed.get(node)
        story = _tell(catalogue, found) if found else ArtifactStory(ref=node, listed=False)
        graph.nodes[node]["story"] = story
    return Lineage(ref, graph)


def _tell(catalogue: Catalogue, artifact: Artifact) -> ArtifactStory:
    run = catalogue.run(artifact.run_id)
    key = artifact.session_key
    return ArtifactStory(
        ref=artifact.ref,
        stage=artifact.stage,
        session=catalogue.session_name(key) if key is not None else "",
        key_figure=artifact.key_figure,
        created=artifact.created,
        bytes=artifact.bytes,
        digest=artifact.digest,
        fingerprint=artifact.fingerprint,
        param_hash=artifact.param_hash,
        settings=catalogue.param_set(artifact.stage, artifact.param_hash).values,
        facts=catalogue.facts(artifact.ref.id),
        metrics=tuple(catalogue.metrics(artifact.ref.id)),
        run_id=artifact.run_id,
        **{name: run[name] for name in _RUN_FIELDS},
    )


_RUN_FIELDS = ("flow_run", "started", "ended", "environment_hash", "environment")
_VERDICT_STYLES = {"fail": "bold red", "warn": "yellow", "pass": "green"}


def _grow(
    tree: Tree,
    lineage: Lineage,
    steps: "nx.DiGraph[ArtifactRef]",
    ref: ArtifactRef,
    seen: set[ArtifactRef],
) -> None:
    """Add the parents of `ref` below it; an artifact reached twice is shown in full once."""
    for parent in sorted(steps.predecessors(ref), key=str):
        if parent in seen:
            tree.add(Text.assemble((parent.kind, "bold"), f" {parent.id[:12]}  see above"))
            continue
        seen.add(parent)
        _grow(tree.add(_label(lineage.story(parent))), lineage, steps, parent, seen)


def _label(story: ArtifactStory) -> Text:
    text = Text.assemble((story.ref.kind, "bold"), " ", (story.ref.id[:12], "cyan"))
    if not story.listed:
        return text.append("  no longer in the catalogue", style="red")
    if story.key_figure:
        text.append(f"  {story.key_figure}")
    if story.created is not None:
        text.append(f"  {story.created:%Y-%m-%d %H:%M}", style="dim")
    if story.seconds is not None:
        text.append(f"  {story.seconds:.1f} s", style="dim")
    if verdict := story.worst_verdict:
        text.append(f"  {verdict}", style=_VERDICT_STYLES[verdict])
    return text
