"""Files as a git revision of this project has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hub.errors import DependencyDown, NotFound


def files_at(revision: str, folder: Path, root: Path) -> dict[str, str]:
    """Name to content of the files of a folder, none where the revision has no such folder; NotFound without it."""
    commit = _commit(revision, root)
    place = folder.relative_to(root).as_posix()
    names = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", f"{place}/").split("\0")
    return {Path(name).name: _git(root, "show", f"{commit}:./{name}") for name in names if name}


def _commit(revision: str, root: Path) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    except subprocess.CalledProcessError as error:
        raise NotFound(f"--against: git knows no revision {revision[:64]} in {root}") from error


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the revision is an argument of its own, never an option
            ["git", "-C", str(root), *arguments],  # noqa: S607 - whichever git the developer uses
            capture_output=True,
            check=True,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise DependencyDown("--against needs git: install it, or leave --against out") from error
    return done.stdout
