import shlex

import pytest

from drywallqa.checks.findings import FAULTS, finding_of, name_some
from drywallqa.cli import VERBS


@pytest.mark.parametrize("name", FAULTS)
def test_faults__are_whole_and_their_commands_exist(name: str) -> None:
    fault = FAULTS[name]
    assert fault.name == name
    for text in (fault.symptom, fault.cause, fault.remedy, fault.command):
        assert text
        assert not text.endswith(".")
    first, verb = shlex.split(fault.command)[:2]
    assert first == "python" or (first == "drywallqa" and verb in VERBS)


def test_finding__tells_all_in_one_line() -> None:
    found = finding_of("masks-range", "the truth ranges from 0 to 255")
    sentence = found.sentence()
    assert "\n" not in sentence
    assert sentence.startswith("masks-range: the truth ranges from 0 to 255. Cause: ")
    assert found.to_json()["evidence"] == found.evidence


def test_listing__counts_the_rest() -> None:
    assert name_some("abc") == "a, b, c"
    assert name_some("abcdef", 2) == "a, b and 4 more"
