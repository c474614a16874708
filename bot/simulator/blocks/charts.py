"""The data_visualization block: pie, bar, line and area charts."""

from __future__ import annotations

from bot.simulator.blocks.rules import Problem, anything, array, by_type, enum, number, record, string
from bot.simulator.json_value import Json

_NAME = "data_visualization"


def _positive(value: Json, pointer: str, found: list[Problem]) -> None:
    number(value, pointer, found)
    if isinstance(value, int | float) and value <= 0:
        found.append(Problem(pointer, f"{_NAME}.segment.value.exclusive_min", "must be more than 0"))


_segment = record(
    {"label": string(f"{_NAME}.segment.label.max_length"), "value": _positive}, required=("label", "value")
)
_point = record({"label": string(f"{_NAME}.point_label.max_length"), "value": number}, required=("label", "value"))
_series = record(
    {"name": string(f"{_NAME}.series_name.max_length"), "data": array(_point, f"{_NAME}.data")},
    required=("name", "data"),
)
_axes = record(
    {
        "categories": array(string(f"{_NAME}.category_label.max_length"), f"{_NAME}.categories"),
        "x_label": string(f"{_NAME}.axis_label.max_length"),
        "y_label": string(f"{_NAME}.axis_label.max_length"),
    },
    required=("categories",),
)
_pie = record({"type": enum("pie"), "segments": array(_segment, f"{_NAME}.segments")}, required=("segments",))
_plot = record(
    {"type": anything, "series": array(_series, f"{_NAME}.series"), "axis_config": _axes},
    required=("series", "axis_config"),
)

DATA_VISUALIZATION = record(
    {
        "type": anything,
        "block_id": string("block_id.max_length"),
        "title": string(f"{_NAME}.title.max_length"),
        "chart": by_type({"pie": _pie, "bar": _plot, "line": _plot, "area": _plot}, f"{_NAME}.chart"),
    },
    required=("title", "chart"),
)
