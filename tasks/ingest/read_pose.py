"""Readers of tracked points: ndx-pose PoseEstimation and Position, one stream a container.

The layout is that of movement: position and confidence over time, space, keypoint, individual.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tasks.ingest.clocks import same_clock
from tasks.ingest.kinds import series_kind
from tasks.ingest.names import fallback_name, slug, stream_name
from tasks.ingest.objects import AssumedEqual, NwbObject, ReadContext, Stream
from tasks.ingest.pose_layout import ONE_ANIMAL, Point, Tracked, is_full_grid, pose_dataset
from tasks.ingest.sampled import Samples, read_samples

ANIMAL = re.compile(r"^((?:ind|individual|animal|subject|mouse|rat|fly|fish|bird)_?\d+)_(.+)$")
"""How DeepLabCut and others put an animal in front of a keypoint."""


class PoseReader:
    """PoseEstimation of ndx-pose."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim PoseEstimation of any version, and those of several cameras at once."""
        return found.is_a("PoseEstimation", "MultiCameraPoseEstimation")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one pose stream, or one for each clock if the points have several.

        Of several cameras, yield the points in space and then those of each camera's view.
        """
        children = found.children()
        series = [child for child in children if child.is_a("PoseEstimationSeries")]
        views = [child for child in children if child.is_a("PoseEstimation")]
        for view in views:
            for stream in self.read(view, context):
                yield replace(stream, name=f"{stream_name(found)}_{stream.name}")
        if not series and not views:
            what = "The container holds no series; it is left out."
            context.note("empty_stream", "warning", what, found.path)
        if not series:
            return
        points = split_individuals([s.name for s in series], _nodes(found))
        yield from _point_streams(found, dict(zip(points, series, strict=True)), context)


class PositionReader:
    """Position, whose SpatialSeries are points of one animal."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim Position with at least one point of two or three dimensions."""
        return found.is_a("Position") and bool(_points_of(found, context))

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one pose stream, keypoints named after the series, or one for each clock."""
        points = {(ONE_ANIMAL, keypoint_name(s)): s for s in _points_of(found, context)}
        yield from _point_streams(found, points, context)


def _points_of(found: NwbObject, context: ReadContext) -> list[NwbObject]:
    series = [child for child in found.children() if child.is_a("SpatialSeries")]
    return [s for s in series if series_kind(s, context) == "pose"]


def keypoint_name(found: NwbObject) -> str:
    """Return the name of the point that a series tracks."""
    return "body" if found.name in found.type_names else found.name


def point_stream(found: NwbObject, samples: Samples, context: ReadContext) -> Stream:
    """Return a single SpatialSeries as a pose stream of one point."""
    tracked = Tracked((ONE_ANIMAL, keypoint_name(found)), found, samples)
    return Stream(stream_name(found), fallback_name(found), pose_dataset(found, [tracked], context))


def split_individuals(names: Sequence[str], nodes: Sequence[str]) -> list[Point]:
    """Tell individuals from keypoints in names like "ind1_snout".

    The keypoints are the skeleton's nodes, if every name is a prefix and a node; otherwise what
    follows a word for an animal and its number. Where neither fits all names, or not every
    individual has every keypoint, all names are keypoints of one individual.
    """
    by_length = sorted(set(nodes) - set(names), key=len, reverse=True)
    for split in (_at_node(by_length), _at_animal):
        points = [point for point in map(split, names) if point is not None]
        if len(points) == len(names) and is_full_grid(points):
            return points
    return [(ONE_ANIMAL, name) for name in names]


def _at_node(nodes: Sequence[str]) -> Callable[[str], Point | None]:
    def split(name: str) -> Point | None:
        node = next((n for n in nodes if name.endswith(f"_{n}")), None)
        return None if node is None else (name.removesuffix(f"_{node}"), node)

    return split


def _at_animal(name: str) -> Point | None:
    fits = ANIMAL.match(name)
    return None if fits is None else (fits[1], fits[2])


def _nodes(found: NwbObject) -> list[str]:
    """Return the names of the tracked points: the skeleton's, in ndx-pose 0.1 the pose's own."""
    skeleton = found.field("skeleton")
    nodes = getattr(skeleton, "nodes", None) if skeleton is not None else found.field("nodes")
    return [] if nodes is None else [str(node) for node in nodes[:]]


def _point_streams(
    found: NwbObject, series: Mapping[Point, NwbObject], context: ReadContext
) -> Iterator[Stream]:
    groups = _by_clock(list(_tracked(series, context)), context)
    if len(groups) > 1:
        context.note(
            "clocks_differ",
            "warning",
            f"The points have {len(groups)} different clocks; each makes a stream of its own.",
            found.path,
        )
    for group in groups:
        own = f"_{slug(group[0].series.name)}" if len(groups) > 1 else ""
        dataset = pose_dataset(found, group, context)
        yield Stream(stream_name(found) + own, fallback_name(found), dataset)


def _tracked(series: Mapping[Point, NwbObject], context: ReadContext) -> Iterator[Tracked]:
    for point, one in series.items():
        samples = read_samples(one, context)
        if samples is not None and len(samples.array.shape) != 2:
            what = f"Data of shape {samples.array.shape} are no points; the series is left out."
            context.note("not_points", "warning", what, one.path)
        elif samples is not None:
            yield Tracked(point, one, samples)


def _by_clock(tracked: Sequence[Tracked], context: ReadContext) -> list[list[Tracked]]:
    """Group points that share a clock and a number of dimensions."""
    groups: list[list[Tracked]] = []
    for one in tracked:
        for group in groups:
            first = group[0].samples
            clock = one.samples.clock
            same_shape = one.samples.array.shape == first.array.shape
            if same_shape and same_clock(clock, first.clock):
                group.append(one)
                if clock.token != first.clock.token:
                    assumed = AssumedEqual(one.series.path, clock.times, first.clock.times)
                    context.assumed_equal.append(assumed)
                break
        else:
            groups.append([one])
    return groups
