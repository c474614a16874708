"""The process that plays rehearsals: texts come in on one line, a line with each result goes out."""

from __future__ import annotations

import json
import logging
import os
import resource
import sys

from engine.definition import codec
from engine.rehearsal import world
from engine.rehearsal.rehearse import rehearse
from engine.rehearsal.walk import walk
from engine.rehearsal.world import Published

MAX_MEMORY = 1 << 30
MAX_CPU_S = 60
MAX_TOLD = 4 << 20
"""Bytes of what is told of one rehearsal step by step, which a server holds and a browser shows."""


def main() -> None:
    """Play what is asked for on the standard input."""
    logging.basicConfig(level=logging.CRITICAL)  # what a case does on purpose is nobody's trouble
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    asked = json.load(sys.stdin)
    known = {slug: Published(codec.from_canonical(said), "") for slug, said in asked["runbooks"].items()}
    with world.opened() as made:
        for file, slug, source in asked["rehearsals"]:
            result = rehearse(made, file, source.encode(), known[slug], lambda: known)
            print(json.dumps(result.as_json()), flush=True)
        if asked.get("walks"):
            os.nice(10)  # whoever looks on can wait a little; runs cannot
        for file, slug, source in asked.get("walks", ()):
            others = [each for other, each in known.items() if other != slug]
            told = walk(made, file, source.encode("utf-8", "surrogatepass"), known[slug], others)
            print(_bounded(json.dumps(told)), flush=True)


def _bounded(told: str) -> str:
    """What is told of a rehearsal, or that it is too much."""
    if len(told) <= MAX_TOLD:
        return told
    most = f"its steps say more than the {MAX_TOLD >> 20} MiB that are shown"
    said = f"{most}: play fewer cases or rounds, or say less in each"
    return json.dumps({"problems": [{"line": 1, "column": 1, "message": said}], "cases": []})


main()
