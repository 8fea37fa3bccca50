"""What the hub runs on: its list of materials, and whether any of it is known to be vulnerable.

Called by scripts/audit.sh with the Python of an environment of its own, which has pip-audit and cyclonedx-bom. Ends
with 1 where a dependency has a known hole that scripts/audit-ignored.toml does not name, and with 0 where nobody could
be asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
IGNORED = ROOT / "scripts" / "audit-ignored.toml"
PROJECT = "order-integration-hub"
SERVICES = ("osv", "pypi")
SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """What an answer of pip-audit comes to. `asked` is how many packages somebody knew something of."""

    holes: Sequence[str]
    warnings: Sequence[str]
    asked: int


def runtime(site_packages: Path) -> dict[str, str]:
    """Name and version of everything that the project needs to run, of what is installed there."""
    installed = {canonicalize_name(each.name): each for each in distributions(path=[str(site_packages)])}
    found = dict[str, str]()
    waiting = list(_needs(installed[canonicalize_name(PROJECT)], ()))
    while waiting:
        name, extras = waiting.pop()
        if name in installed and name not in found:
            found[name] = installed[name].version
            waiting += _needs(installed[name], extras)
    return dict(sorted(found.items()))


def judged(answer: Mapping[str, Any], ignored: Iterable[Mapping[str, Any]], today: date) -> Verdict:
    """Holes that nobody has looked at, or whose time to be ignored is over."""
    until = {each["id"]: each["until"] for each in ignored}
    holes, warnings, asked = list[str](), list[str](), 0
    for package in answer.get("dependencies", ()):
        asked += "skip_reason" not in package
        for hole in package.get("vulns", ()):
            names = {hole["id"], *hole.get("aliases", ())}
            end = max((until[name] for name in names & until.keys()), default=None)
            told = f"{package['name']} {package['version']}: {hole['id']}, {_fixed(hole)}"
            if end is not None and end >= today:
                warnings.append(f"{told}; ignored until {end}")
            else:
                holes.append(told + (f"; was ignored until {end}" if end else ""))
    return Verdict(holes, warnings, asked)


def materials(whole: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A CycloneDX document of these packages alone, of one that has everything installed."""
    wanted = set(names)
    kept = [each for each in whole["components"] if canonicalize_name(each["name"]) in wanted]
    main = whole.get("metadata", {}).get("component", {}).get("bom-ref")
    references = {each["bom-ref"] for each in kept} | {main}
    leads = [
        {**each, "dependsOn": sorted(set(each.get("dependsOn", ())) & references)}
        for each in whole.get("dependencies", ())
        if each["ref"] in references
    ]
    return {**whole, "components": kept, "dependencies": leads}


def main(python: str, folder: str) -> int:
    """Write dist/sbom.cdx.json, ask who knows of holes, and say what came of it."""
    here, bin_ = Path(folder), Path(sys.executable).parent
    here.mkdir(exist_ok=True)
    asked = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    found = runtime(Path(asked.strip()))
    listed = here / "runtime.txt"
    listed.write_text("".join(f"{name}=={version}\n" for name, version in found.items()), encoding="utf-8")
    command = [bin_ / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible"]
    whole = json.loads(_run([*map(str, command), python]))
    sbom = here / "sbom.cdx.json"
    sbom.write_text(json.dumps(materials(whole, found), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{sbom}: {len(found)} packages")
    return _told(_answered(str(bin_ / "pip-audit"), listed), len(found))


def _run(command: list[str], *, must: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=must, timeout=SECONDS).stdout


def _answered(program: str, listed: Path) -> Verdict:
    ignored = tomllib.loads(IGNORED.read_text(encoding="utf-8")).get("ignored", ())
    best = Verdict((), (), 0)
    for service in SERVICES:
        how = ["--requirement", str(listed), "--no-deps", "--disable-pip", "--service", service]
        answer = _asked([program, *how, "--format", "json", "--progress-spinner", "off", "--timeout", "10"])
        best = max(best, judged(answer, ignored, date.today()), key=lambda each: each.asked)  # noqa: DTZ011
        if best.asked:
            break
    return best


def _asked(command: list[str]) -> Mapping[str, Any]:
    try:
        # It ends with 1 where it found something.
        answer = json.loads(_run(command, must=False))
    except (ValueError, subprocess.TimeoutExpired):
        # Whoever cannot be reached is told by a traceback and not by an answer.
        return {}
    return answer if isinstance(answer, dict) else {}


def _told(verdict: Verdict, most: int) -> int:
    if not verdict.asked:
        print("WARNING: no service that knows of holes could be reached: nothing was audited", file=sys.stderr)
        return 0
    for line in verdict.warnings:
        print(f"WARNING: {line}", file=sys.stderr)
    for line in verdict.holes:
        print(f"ERROR: {line}", file=sys.stderr)
    print(f"{verdict.asked} of {most} packages were audited, {len(verdict.holes)} holes")
    return 1 if verdict.holes else 0


def _needs(package: Distribution, extras: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for text in package.requires or ():
        need = Requirement(text)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(need.name), tuple(need.extras)


def _fixed(hole: Mapping[str, Any]) -> str:
    versions = hole.get("fix_versions") or ()
    return f"fixed in {', '.join(versions)}" if versions else "no version mends it yet"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
