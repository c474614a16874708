"""What masking costs: in processor time of one thread, and over what masking a single secret costs."""

from __future__ import annotations

import base64
import json
import random
import time

from engine.text.redaction import Redactor

SECRETS, SIZE, ROUNDS = 1_000, 65_536, 15


def of_many_secrets() -> str:
    """64 KiB of JSON searched for a thousand secrets of 1 to 4 KiB, and how long they take to be learnt."""
    dice = random.Random(1)
    secrets = {f"s{n}": base64.b64encode(dice.randbytes(dice.randint(768, 3072))).decode() for n in range(SECRETS)}
    text = json.dumps([{"id": dice.random(), "href": f"https://x.test/{dice.randbytes(16).hex()}"} for _ in range(700)])
    many, one = Redactor(), Redactor()
    began = time.thread_time()
    many.add_all(secrets)
    learnt = time.thread_time() - began
    one.add("s0", secrets["s0"])
    costs, alone, nested = (_cost(*each) for each in ((many, text), (one, text), (many, json.dumps(text))))
    return (
        f"{SIZE // 1024} KiB for {SECRETS} long secrets {1000 * costs:.1f} ms, {costs / alone:.1f} × one secret; "
        f"as JSON in JSON {1000 * nested:.1f} ms; learnt in {learnt:.1f} s"
    )


def _cost(redactor: Redactor, text: str) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        redactor.redact(text[:SIZE])
        times.append(time.thread_time() - began)
    return min(times)
