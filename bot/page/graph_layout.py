"""Where the nodes of a graph are drawn: in layers from top to bottom, with few crossings and straight lines.

The usual three passes. A node's layer is the longest way to it; a line over several layers gets a narrow place in each
of them; each layer is ordered by where its neighbours are, and then moved as near to them as there is room. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise

Point = tuple[float, float]
Size = tuple[float, float]
Node = Hashable

GAP_X, GAP_Y = 24.0, 34.0
LANE: Size = (14.0, 0.0)
"""The place that a passing line takes in a layer."""
MOST_LANES = 2_000
"""Such places in one drawing. Where long lines would take more, they go straight: no order of them could be read."""
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line from below `source` through `points` to above `target`; its points alternate top and bottom of layers."""

    source: str
    target: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`corners` has the upper left corner of each node; everything lies within `size`, from 0,0."""

    corners: Mapping[str, Point]
    lines: tuple[Line, ...]
    size: Size


@dataclass
class _Net:
    """Layers of nodes and of places for passing lines, and who is joined to whom between one layer and the next."""

    layers: list[list[Node]]
    sizes: dict[Node, Size]
    above: dict[Node, list[Node]] = field(default_factory=dict)
    below: dict[Node, list[Node]] = field(default_factory=dict)

    def join(self, upper: Node, lower: Node) -> None:
        self.below.setdefault(upper, []).append(lower)
        self.above.setdefault(lower, []).append(upper)


def arrange(needs: Mapping[str, Sequence[str]], sizes: Mapping[str, Size]) -> Arrangement:
    """Place the nodes of `needs` (each with what comes before it, no cycles), which take the room of `sizes`."""
    if not needs:
        return Arrangement({}, (), (0.0, 0.0))
    net, ways = _net(needs, sizes)
    for sweep in range(_SWEEPS):
        _order(net, downwards=sweep % 2 == 0)
    centres = _centres(net)
    tops, heights = _rows(net)
    layer_of = {node: number for number, layer in enumerate(net.layers) for node in layer}
    left = min(centres[node] - net.sizes[node][0] / 2 for node in centres)
    right = max(centres[node] + net.sizes[node][0] / 2 for node in centres)
    corners = {node: (centres[node] - sizes[node][0] / 2 - left, tops[layer_of[node]]) for node in needs}

    def line(way: Sequence[Node]) -> Line:
        source, *between, target = way
        points = [(centres[source] - left, tops[layer_of[source]] + net.sizes[source][1])]
        for lane in between:
            top = tops[layer_of[lane]]
            points += [(centres[lane] - left, top), (centres[lane] - left, top + heights[layer_of[lane]])]
        points.append((centres[target] - left, tops[layer_of[target]]))
        return Line(str(source), str(target), tuple(points))

    size = (right - left, tops[-1] + heights[-1])
    return Arrangement(corners, tuple(line(way) for way in ways), size)


def _net(needs: Mapping[str, Sequence[str]], sizes: Mapping[str, Size]) -> tuple[_Net, list[list[Node]]]:
    """The layers, and each line as the nodes and places it goes through."""
    depth: dict[str, int] = {}
    for node in TopologicalSorter(needs).static_order():
        depth[node] = 1 + max((depth[need] for need in needs[node]), default=-1)
    net = _Net([[] for _ in range(max(depth.values()) + 1)], dict(sizes.items()))
    for node in needs:
        net.layers[depth[node]].append(node)
    ways: list[list[Node]] = []
    passed = sum(depth[node] - depth[need] - 1 for node, before in needs.items() for need in before)
    for node, before in needs.items():
        for need in before:
            if passed > MOST_LANES and depth[node] - depth[need] > 1:
                ways.append([need, node])
                continue
            lanes: list[Node] = [(need, node, layer) for layer in range(depth[need] + 1, depth[node])]
            for layer, lane in enumerate(lanes, depth[need] + 1):
                net.layers[layer].append(lane)
                net.sizes[lane] = LANE
            way = [need, *lanes, node]
            for upper, lower in pairwise(way):
                net.join(upper, lower)
            ways.append(way)
    return net, ways


def _order(net: _Net, *, downwards: bool) -> None:
    """Order each layer by the middle of its neighbours' places in the layer before, keeping what has none."""
    neighbours = net.above if downwards else net.below
    numbers = range(1, len(net.layers)) if downwards else range(len(net.layers) - 2, -1, -1)
    for number in numbers:
        before = {node: place for place, node in enumerate(net.layers[number - 1 if downwards else number + 1])}
        layer = net.layers[number]
        own = {node: float(place) for place, node in enumerate(layer)}

        def middle(node: Node, before: dict[Node, int] = before, own: dict[Node, float] = own) -> float:
            places = [before[each] for each in neighbours.get(node, ())]
            return sum(places) / len(places) if places else own[node]

        layer.sort(key=middle)


def _centres(net: _Net) -> dict[Node, float]:
    centres: dict[Node, float] = {}
    for layer in net.layers:
        centres |= zip(layer, _packed(layer, net, [0.0] * len(layer)), strict=True)
    for sweep in range(_SWEEPS):
        neighbours = net.above if sweep % 2 == 0 else net.below
        for layer in net.layers if sweep % 2 == 0 else reversed(net.layers):
            wished = []
            for node in layer:
                near = [centres[each] for each in neighbours.get(node, ())]
                wished.append(sum(near) / len(near) if near else centres[node])
            centres |= zip(layer, _packed(layer, net, wished), strict=True)
    return centres


def _packed(layer: Sequence[Node], net: _Net, wished: Sequence[float]) -> list[float]:
    """Centres near the wished ones that keep order and distance: the mean of packing from the left and the right."""
    widths = [net.sizes[node][0] for node in layer]
    apart = [(one + other) / 2 + GAP_X for one, other in pairwise(widths)]
    from_left = list(wished)
    for place, distance in enumerate(apart, 1):
        from_left[place] = max(from_left[place], from_left[place - 1] + distance)
    from_right = list(wished)
    for place in range(len(layer) - 2, -1, -1):
        from_right[place] = min(from_right[place], from_right[place + 1] - apart[place])
    return [(one + other) / 2 for one, other in zip(from_left, from_right, strict=True)]


def _rows(net: _Net) -> tuple[list[float], list[float]]:
    """Top and height of each layer."""
    heights = [max(net.sizes[node][1] for node in layer) for layer in net.layers]
    tops = [0.0]
    for height in heights[:-1]:
        tops.append(tops[-1] + height + GAP_Y)
    return tops, heights
