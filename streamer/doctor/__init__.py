"""`streamer doctor`: what this machine has, whether it keeps up, and what mends what is wrong.

A check is a function that gives findings; each finding is one sentence, and the command that mends
it. Nothing that says whose machine it is gets into the findings: no names of users, folders, hosts
or devices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from streamer.doctor import models, sound, system
from streamer.doctor.finding import OK, PROBLEM, WARNING, Finding

MARKS = {OK: "ok  ", WARNING: "note", PROBLEM: "FAIL"}
CHECKS: tuple[Callable[[argparse.Namespace], Iterator[Finding]], ...] = (
    system.python,
    system.configuration_in_force,
    system.machine,
    system.disk,
    sound.microphone,
    system.typing,
    models.installed_models,
)


def run(options: argparse.Namespace) -> int:
    """Run the command: 1 if there is a problem."""
    findings = []
    for check in CHECKS:
        for found in check(options):
            finding = replace(
                found,
                name=_private(found.name),
                message=_private(found.message),
                remedy=found.remedy and _private(found.remedy),
            )
            findings.append(finding)
            if not options.json:
                print(f"{MARKS[finding.status]}  {finding.name}: {finding.message}", flush=True)
                if finding.remedy:
                    print(f"      mend it: {finding.remedy}", flush=True)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.status == PROBLEM for finding in findings))


def _private(text: str) -> str:
    """The text without the user's folder."""
    home = Path.home()
    return text if home == Path(home.anchor) else text.replace(str(home), "~")
