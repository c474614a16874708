"""Real repositories, made by the git program, as a mischievous or an ordinary committer would make them."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

CAROL, MALLORY = "carol@example.com", "mallory@example.com"


def git(folder: Path, *arguments: str, email: str = CAROL, input_: bytes | None = None) -> str:
    """What git prints; it reads no settings but the repository's."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "author@example.com",
        "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": email,
    }  # fmt: skip
    command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, input=input_)
    return done.stdout.decode().strip()


def repository(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *options)
    return folder


def commit(folder: Path, email: str = CAROL, **texts: str) -> str:
    """Write `name.yaml` for each text, commit all there is, and return the commit's id."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    git(folder, "add", "--all", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x", email=email)
    return git(folder, "rev-parse", "HEAD")


def history(folder: Path, count: int, *, merges: bool, seed: int, at: str = "ops/runbooks.d") -> None:
    """A repository whose `count` commits change one of ten files of `at` or something else; some are merges."""
    rng = random.Random(seed)
    repository(folder)
    lines = []
    for number in range(1, count + 1):
        path = f"{at}/f{rng.randrange(10)}.yaml" if rng.random() < 0.4 else f"src/f{rng.randrange(9)}"
        text = str(rng.randrange(3))
        lines += ["commit refs/heads/main", f"mark :{number}"]
        lines += [f"committer C <c{number}@example.com> {1_600_000_000 + rng.randrange(count)} +0000", "data 1", "x"]
        if number > 1:
            lines.append(f"from :{number - 1 if not merges else max(1, number - rng.randrange(1, 4))}")
        if merges and number > 3 and rng.random() < 0.4:
            lines.append(f"merge :{rng.randrange(1, number)}")
        lines += [f"M 100644 inline {path}", f"data {len(text)}", text]
        if merges:
            lines += [f"M 100644 inline {at}/f9.yaml", "data 1", "9"] if number == count else []
    lines.append("")
    git(folder, "fast-import", "--quiet", "--force", input_="\n".join(lines).encode())
    git(folder, "reset", "-q", "--hard")
    (folder / at).mkdir(parents=True, exist_ok=True)
