"""The two table blocks."""

from __future__ import annotations

from bot.simulator.blocks.block_kit_limits import LIMITS
from bot.simulator.blocks.rich_text import rich_text
from bot.simulator.blocks.rules import (
    Check,
    Problem,
    anything,
    array,
    boolean,
    by_type,
    enum,
    integer,
    number,
    record,
    string,
)
from bot.simulator.json_value import Json


def _cells(name: str) -> dict[str, Check]:
    def content(value: Json, pointer: str, found: list[Problem]) -> None:
        if value == "":
            found.append(Problem(pointer, f"{name}.cell_text.min_length", "must be more than 0 characters"))
        else:
            string()(value, pointer, found)

    return {
        "raw_text": record({"type": anything, "text": content}, required=("text",)),
        "raw_number": record({"type": anything, "text": content, "value": number}, required=("value",)),
        "rich_text": rich_text,
    }


def _rows(name: str) -> Check:
    cell = by_type(_cells(name), f"{name}.cells")
    rows = array(array(cell, f"{name}.columns"), f"{name}.rows")

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        before = len(found)
        rows(value, pointer, found)
        if len(found) == before and len({len(row) for row in value}) > 1:
            found.append(Problem(pointer, f"{name}.row_shape", "all rows must have the same number of cells"))

    return check


def text_length(value: Json) -> int:
    """How many characters a person would see in a cell, or in anything nested like one."""
    if isinstance(value, dict):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(text_length(each) for key, each in value.items() if key != "text")
    return sum(text_length(each) for each in value) if isinstance(value, list) else 0


def _fits(value: Json, pointer: str, found: list[Problem]) -> None:
    most = LIMITS["data_table.content.max_length"]
    if text_length(value["rows"]) > most:
        found.append(Problem(pointer, "data_table.content.max_length", f"no more than {most} characters in all cells"))


def _settings_fit(value: Json, pointer: str, found: list[Problem]) -> None:
    if len(value.get("column_settings", [])) > len(value["rows"][0]):
        message = "must not describe more columns than the table has"
        found.append(Problem(f"{pointer}/column_settings", "table.column_settings", message))


def _column(value: Json, pointer: str, found: list[Problem]) -> None:
    # A null keeps a column's defaults while a later one is described.
    if value is not None:
        record({"align": enum("left", "center", "right"), "is_wrapped": boolean})(value, pointer, found)


TABLE = record(
    {
        "type": anything,
        "block_id": string("block_id.max_length"),
        "rows": _rows("table"),
        "column_settings": array(_column),
    },
    required=("rows",),
    also=(_settings_fit,),
)

DATA_TABLE = record(
    {
        "type": anything,
        "block_id": string("block_id.max_length"),
        "caption": string(),
        "rows": _rows("data_table"),
        "page_size": integer("data_table.page_size"),
        "row_header_column_index": integer("data_table.row_header_column_index"),
    },
    required=("caption", "rows"),
    also=(_fits,),
)
