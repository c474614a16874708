"""The drawing of a graph: nothing lies on anything else, and every line leads down."""

from __future__ import annotations

import itertools
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.page.graph_layout import arrange
from bot.page.graph_picture import drawings, path_of
from bot.page.states import Look
from engine.definition.load import examine


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, float]]]:
    """Up to 14 nodes, each with needs among those before it, in any order of the mapping."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 14)))]
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=4))) if place else ()
        for place, name in enumerate(names)
    }
    sizes = {
        name: (draw(st.sampled_from([100.0, 212.0, 400.0])), draw(st.sampled_from([40.0, 160.0]))) for name in names
    }
    order = draw(st.permutations(names))
    return {name: needs[name] for name in order}, sizes


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_nodes_lie_apart_and_lines_lead_down(graph: tuple[dict, dict]) -> None:
    """Every node is within the drawing and touches no other; what is needed is above what needs it."""
    needs, sizes = graph
    found = arrange(needs, sizes)
    corners = found.corners
    for name in needs:
        (x, y), (width, height) = corners[name], sizes[name]
        assert x >= -0.001
        assert y >= 0
        assert x + width <= found.size[0] + 0.001
        assert y + height <= found.size[1] + 0.001
    for one, other in itertools.combinations(needs, 2):
        (x1, y1), (w1, h1), (x2, y2), (w2, h2) = corners[one], sizes[one], corners[other], sizes[other]
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1, (one, other)
    assert {(line.source, line.target) for line in found.lines} == {
        (need, name) for name, before in needs.items() for need in before
    }
    for line in found.lines:
        heights = [y for _, y in line.points]
        assert heights == sorted(heights)
        assert heights[0] < heights[-1]


def test_the_same_graph_is_drawn_the_same() -> None:
    """A page that is fetched anew must not jump."""
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("a", "d")}
    sizes = dict.fromkeys(needs, (100.0, 40.0))
    assert arrange(needs, sizes) == arrange(needs, sizes)


def test_nothing_is_drawn_of_nothing() -> None:
    """No steps, no size."""
    assert arrange({}, {}).size == (0.0, 0.0)


def test_a_chain_is_a_straight_line() -> None:
    """The commonest runbook of all."""
    needs = {"a": (), "b": ("a",), "c": ("b",)}
    found = arrange(needs, dict.fromkeys(needs, (100.0, 40.0)))
    assert {x for x, _ in found.corners.values()} == {0.0}


RUNBOOK = """
apiVersion: runbook/v1
id: nested
name: Nested
steps:
  - id: ask
    type: branch
    with:
      if: "true"
      then:
        - {id: first, type: message, with: {text: one}}
        - id: many
          type: loop
          with: {items: [1, 2], steps: [{id: say, type: message, with: {text: two}}]}
      else: [{id: other, type: message, with: {text: three}}]
  - {id: last, type: message, with: {text: four}}
finally: [{id: tidy, type: message, with: {text: five}}]
"""


def test_boxes_hold_what_containers_hold() -> None:
    """Before anything ran every step is there once, idle, inside the box that holds it, and cleanup by itself."""
    runbook = examine(RUNBOOK.encode(), "nested").runbook
    assert runbook is not None
    main, tidy = drawings(runbook, ())
    assert [box.step_id for box in tidy.boxes] == ["tidy"]
    assert (main.title, tidy.title) == ("", "Finally")
    boxes = {box.step_id: box for box in main.boxes}
    assert set(boxes) == {"ask", "first", "many", "say", "other", "last"}
    assert {box.look for box in main.boxes} == {Look.IDLE}
    for inner, outer in (("first", "ask"), ("many", "ask"), ("other", "ask"), ("say", "many")):
        (x, y), (width, height) = boxes[inner].corner, boxes[inner].size
        (around_x, around_y), (around_width, around_height) = boxes[outer].corner, boxes[outer].size
        assert around_x < x
        assert around_y < y
        assert x + width < around_x + around_width
        assert y + height < around_y + around_height


def test_a_line_is_an_svg_path() -> None:
    """Bent between layers, straight through one."""
    assert path_of([(0, 0), (10, 20)]) == "M0.0 0.0 C0.0 10.0 10.0 10.0 10.0 20.0"
    assert path_of([(0, 0), (5, 10), (5, 20), (0, 30)]).count("L") == 1


def test_a_tangle_is_drawn_in_no_time() -> None:
    """Ninety steps in a chain, and ninety that need each of them: whoever looks at it holds up nobody else."""
    needs = {f"a{number}": (f"a{number - 1}",) if number else () for number in range(90)}
    needs |= {f"b{number}": tuple(f"a{each}" for each in range(90)) for number in range(90)}
    began = time.thread_time()
    found = arrange(needs, dict.fromkeys(needs, (100.0, 40.0)))
    assert time.thread_time() - began < 2.0
    assert len(found.lines) == 89 + 90 * 90
    assert all(line.points[0][1] < line.points[-1][1] for line in found.lines)
