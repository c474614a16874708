"""What is built and shipped is all there: the wheel, the image, the services beside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from bot.cli import main
from engine.config.settings import SETTINGS

HOME = Path(__file__).parents[2]
PACKAGES = ("storage", "engine", "bot")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile copies, by its own COPY lines."""
    folder = tmp_path_factory.mktemp("source")
    for line in (HOME / "Dockerfile").read_text().splitlines():
        words = [word for word in line.split() if not word.startswith("--")]
        if words[:1] == ["COPY"]:
            _copied(words[1:-1], folder)
    return folder


def _copied(names: list[str], folder: Path) -> None:
    for name in names:
        subprocess.run(["cp", "-r", str(HOME / name), str(folder)], check=True)


def test_the_image_holds_every_file_of_the_packages(source: Path, tmp_path: Path) -> None:
    """Python, SQL, schema, pages: whatever stands in a package is in the wheel that the image installs."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True)
    shipped = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    files = {
        str(path.relative_to(HOME))
        for package in PACKAGES
        for path in (HOME / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 100
    assert files - shipped == set()


def test_compose_starts_what_there_is() -> None:
    """Each of the bot's services runs a verb of the command line, with settings that exist."""
    services = yaml.safe_load((HOME / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service.get("build")}
    assert set(ours) == {"migrate", "web", "worker"}
    for name, service in ours.items():
        assert service["command"] == ["runbook", name]
        assert set(service["environment"]) <= {setting.name for setting in SETTINGS}
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
