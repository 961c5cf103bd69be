"""From what a command said to a judgement: right, wrong, silent; or of a sound case: quiet, accused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from planted.case import Case

Outcome = Literal["right", "wrong", "silent", "quiet", "accused"]
GOOD: tuple[Outcome, ...] = ("right", "quiet")


@dataclass(frozen=True)
class Answer:
    """What a command left behind.

    Attributes:
        code: The exit code.
        output: Standard output.
        errors: Standard error.
        document: The JSON that it wrote; None where it wrote none.
    """

    code: int
    output: str
    errors: str
    document: Any = None


@dataclass(frozen=True)
class Judgement:
    """How a case went.

    Attributes:
        case: The case.
        outcome: Right, wrong or silent; quiet or accused of a sound one.
        first: The first finding, in words; empty where there is none.
        findings: How many there are.
    """

    case: Case
    outcome: Outcome
    first: str
    findings: int


def judge(case: Case, answer: Answer) -> Judgement:
    """Judge an answer by its first finding, as the reader of a ranked verdict would."""
    found = findings(answer)
    words = [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in case.accept]
    if case.severity == "sound":
        accusing = [text for text in found if not any(word.search(text) for word in words)]
        return Judgement(case, "accused" if accusing else "quiet", (accusing or [""])[0], len(found))
    if not found:
        return Judgement(case, "silent", "", 0)
    right = any(word.search(found[0]) for word in words)
    return Judgement(case, "right" if right else "wrong", found[0], len(found))


def findings(answer: Answer) -> list[str]:
    """The findings of an answer, ranked, each as "name: cause".

    They are taken from the JSON's `findings`. Where a command refuses its input, the error's sentence is its
    one finding. A command that writes no such list is taken by its lines, and only where its exit code says
    that it found something.
    """
    document = answer.document
    if isinstance(document, Mapping) and isinstance(document.get("findings"), Sequence):
        return [_words(finding) for finding in document["findings"]]
    error = re.search(r"^error: (.*)$", answer.errors, re.MULTILINE)
    if error:
        return [error.group(1)]
    if answer.code == 0:
        return []
    return [line.strip() for line in answer.output.splitlines() if line.strip()]


def read_document(path: Path) -> Any:
    """Read the JSON that a command wrote; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _words(finding: Any) -> str:
    """What a finding says is the matter: its name and its cause, not the evidence or the remedy."""
    if not isinstance(finding, Mapping):
        return str(finding)
    said = [str(finding[field]) for field in ("name", "cause") if finding.get(field)]
    return ": ".join(said or [json.dumps(finding, ensure_ascii=False)])
