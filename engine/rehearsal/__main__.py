"""The process that plays rehearsals: texts come in on one line, a line with each result goes out."""

from __future__ import annotations

import json
import logging
import resource
import sys

from engine.definition import codec
from engine.rehearsal import world
from engine.rehearsal.rehearse import rehearse
from engine.rehearsal.walk import walk
from engine.rehearsal.world import Published

MAX_MEMORY = 1 << 30
MAX_CPU_S = 60


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
        for file, slug, source in asked.get("walks", ()):
            others = [each for other, each in known.items() if other != slug]
            told = walk(made, file, source.encode("utf-8", "surrogatepass"), known[slug], others)
            print(json.dumps(told), flush=True)


main()
