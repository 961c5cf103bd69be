"""Run every planted case through the command line, judge what it says first, and print a table.

python tests/planted/score.py --out FOLDER [--only PATTERN] [--build-only]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from planted.case import FAMILY_OPTION, Case, UnavailableError
from planted.cases import CASES
from planted.judge import GOOD, Answer, Judgement, judge, read_document

WANTED = 0.9
"""The share of faults whose cause has to be named first."""


def ask(arguments: Sequence[str], document: Path) -> Answer:
    """Call the command line in this process and keep everything that it says."""
    from drywallqa.cli import main

    arguments = understood(arguments)
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = main([*arguments, "--json", str(document)])
        except Exception:  # a traceback is an answer, and never a right one
            return Answer(-1, "crashed: " + traceback.format_exc(limit=-2), "")
    return Answer(code, output.getvalue(), errors.getvalue(), read_document(document))


def understood(arguments: Sequence[str]) -> list[str]:
    """Leave out the family of a state dict where `diagnose` finds it by itself and has no option for it."""
    if FAMILY_OPTION not in arguments or FAMILY_OPTION in _help():
        return list(arguments)
    place = list(arguments).index(FAMILY_OPTION)
    return [*arguments[:place], *arguments[place + 2 :]]


@cache
def _help() -> str:
    from drywallqa.cli import main

    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        main(["diagnose", "--help"])
    return words.getvalue()


def run_case(case: Case, folder: Path, build_only: bool = False) -> Judgement | str:
    """Build a case in an empty folder, ask, judge, and remove it; a sentence where it cannot be built."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        arguments = case.build(folder)
        if build_only:
            return "built"
        return judge(case, ask(arguments, folder / "verdict.json"))
    except UnavailableError as reason:
        return str(reason)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tell(judged: Sequence[Judgement], skipped: Sequence[tuple[Case, str]]) -> list[str]:
    """The table's foot: shares by severity and verb, sound cases accused, what was skipped."""
    lines = []
    for word, chosen in (
        *((s, [j for j in judged if j.case.severity == s]) for s in ("mild", "clear", "gross")),
        *((v, [j for j in judged if j.case.verb == v and j.case.severity != "sound"])
          for v in ("diagnose", "audit")),
        ("all faults", [j for j in judged if j.case.severity != "sound"]),
    ):  # fmt: skip
        right = sum(j.outcome in GOOD for j in chosen)
        if chosen:
            lines.append(f"{word}: right first in {right} of {len(chosen)} ({right / len(chosen):.0%})")
    innocent = [j for j in judged if j.case.severity == "sound"]
    accused = sum(j.outcome == "accused" for j in innocent)
    lines.append(f"sound cases accused: {accused} of {len(innocent)}")
    reasons = dict.fromkeys(reason for _, reason in skipped)
    return [*lines, *(f"skipped: {sum(r == why for _, r in skipped)} ({why})" for why in reasons)]


def as_json(judged: Sequence[Judgement], skipped: Sequence[tuple[Case, str]]) -> dict[str, Any]:
    """Everything that was judged, as plain data."""
    faults = [j for j in judged if j.case.severity != "sound"]
    return {
        "faults": len(faults),
        "right": sum(j.outcome == "right" for j in faults),
        "sound": len(judged) - len(faults),
        "accused": sum(j.outcome == "accused" for j in judged),
        "skipped": {case.name: reason for case, reason in skipped},
        "cases": [
            {
                "name": j.case.name,
                "kind": j.case.kind,
                "severity": j.case.severity,
                "target": j.case.target,
                "verb": j.case.verb,
                "cause": j.case.cause,
                "first": j.first,
                "findings": j.findings,
                "outcome": j.outcome,
            }
            for j in judged
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the chosen cases; 0 where nine of ten are right and no sound one is accused, else 1."""
    parser = argparse.ArgumentParser(description="Score diagnose and audit on planted faults.")
    parser.add_argument("--out", type=Path, help="folder for score.json, table.txt and what cases share")
    parser.add_argument("--only", default="", help="regular expression that a case's name has to match")
    parser.add_argument("--build-only", action="store_true", help="build the cases and judge nothing")
    options = parser.parse_args(arguments)
    out = options.out or Path(tempfile.mkdtemp(prefix="planted-"))
    judged: list[Judgement] = []
    skipped: list[tuple[Case, str]] = []
    lines = []
    for case in [case for case in CASES if re.search(options.only, case.name)]:
        started = time.perf_counter()
        result = run_case(case, out / "work" / case.name, options.build_only)
        if isinstance(result, Judgement):
            judged.append(result)
            said = f"{result.outcome:7}  {' '.join(result.first.split())[:110]}"
        else:
            skipped.append((case, result))
            said = f"-        {result}"
        lines.append(f"{case.name:44}  {said}")
        print(f"{lines[-1]}  [{time.perf_counter() - started:.1f} s]", flush=True)
    lines += ["", *tell(judged, skipped)]
    print("\n".join(lines[-len(tell(judged, skipped)) :]))
    out.mkdir(parents=True, exist_ok=True)
    document = json.dumps(as_json(judged, skipped), indent=1, ensure_ascii=False)
    (out / "score.json").write_text(document + "\n", encoding="utf-8")
    (out / "table.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {out / 'score.json'}")
    right = sum(j.outcome == "right" for j in judged)
    faults = sum(j.case.severity != "sound" for j in judged)
    accused = any(j.outcome == "accused" for j in judged)
    return int(accused or right < WANTED * faults)


if __name__ == "__main__":
    raise SystemExit(main())
