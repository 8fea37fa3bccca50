"""What the documents say of the code is what the code says."""

from __future__ import annotations

from pathlib import Path

from hub.schemas.lifecycle import TRANSITIONS

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_shows_every_row_of_the_transition_table() -> None:
    for row in TRANSITIONS:
        sources = ", ".join(str(source or "—") for source in row.sources)
        line = f"| {sources} | {row.verb} | {row.target} "
        assert any(shown.startswith(line) and shown.endswith(f"| {', '.join(row.roles)} |") for shown in _lines()), line


def test_the_page_shows_every_room_of_the_package() -> None:
    rooms = {path.stem for path in (ROOT / "hub").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {room for room in rooms if not room.startswith("__")} <= set(_words())


def test_both_readmes_tell_the_same_commands() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    commands = [line.split("#")[0].strip() for line in english.splitlines() if line.startswith(".venv/bin/hub")]
    assert len(commands) >= 5
    assert all(command in chinese for command in commands)


def _lines() -> list[str]:
    return ARCHITECTURE.splitlines()


def _words() -> list[str]:
    return ARCHITECTURE.replace("|", " ").replace(",", " ").split()
