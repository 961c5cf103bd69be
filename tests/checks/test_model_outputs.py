from dataclasses import replace

import numpy as np

from checks.test_label_checks import EMPTY, NUMBERS, SIDE, coarse_pair
from drywallqa.checks import model_outputs
from drywallqa.imaging.letterbox import logit

MANY = [coarse_pair(n) for n in NUMBERS] + [coarse_pair(n, EMPTY, EMPTY) for n in range(20, 26)]


def names(found: list) -> list[str]:
    return [each.name for each in found]


def test_check_range__a_sound_model_raises_nothing() -> None:
    assert model_outputs.check_range(MANY) == []
    assert list(model_outputs.check_thresholds(MANY)) == []
    assert model_outputs.check_exchange(MANY) == []
    assert model_outputs.check_sign(MANY) == []


def test_check_range__names_what_is_wrong() -> None:
    nan = [replace(s, logits=s.logits * np.float32(np.nan)) for s in MANY]
    assert names(model_outputs.check_range(nan)) == ["weights-not-finite"]
    flat = [replace(s, logits=np.full_like(s.logits, -2.0)) for s in MANY]
    assert names(model_outputs.check_range(flat)) == ["output-constant"]
    stuck = [replace(s, logits=MANY[0].logits) for s in MANY]
    assert names(model_outputs.check_range(stuck))[:1] == ["output-constant"]
    squeezed = [replace(s, logits=1 / (1 + np.exp(-s.logits))) for s in MANY]
    assert names(model_outputs.check_range(squeezed)) == ["sigmoid-twice"]
    deaf = [replace(s, other=s.logits) for s in MANY]
    assert names(model_outputs.check_range(deaf)) == ["prompt-ignored"]


def test_check_thresholds__a_stale_threshold() -> None:
    stale = [replace(s, threshold=logit(0.995)) for s in MANY]
    assert names(model_outputs.check_thresholds(stale)) == ["mask-threshold-high"]


def test_check_thresholds__presence_too_high() -> None:
    assert names(model_outputs.check_thresholds([replace(s, presence_threshold=0.99) for s in MANY])) == [
        "presence-threshold"
    ]


def test_check_exchange_and_sign() -> None:
    exchanged = [replace(s, logits=s.other, other=s.logits) for s in MANY]
    assert names(model_outputs.check_exchange(exchanged)) == ["prompts-exchanged"]
    assert names(model_outputs.check_sign([replace(s, logits=-s.logits) for s in MANY])) == [
        "output-inverted"
    ]


def test_check_inputs__the_way_that_is_answered_better_is_named() -> None:
    generator = np.random.default_rng(1)
    worse = [
        replace(s, logits=s.logits + generator.normal(0, 4, (SIDE, SIDE)).astype(np.float32)) for s in MANY
    ]
    ways = {"with channels reversed": ("channel-order", MANY), "at 96 px": ("window-size", worse)}
    (found,) = model_outputs.check_inputs(worse, ways)
    assert found.name == "channel-order"
    assert "channels reversed" in found.evidence
    assert model_outputs.check_inputs(MANY, {"at 96 px": ("window-size", worse)}) == []


def test_check_thresholds__presence_weighs_less_than_the_text_side_that_upsets_it() -> None:
    lost = [replace(s, presence_threshold=0.99) for s in MANY]
    other = [replace(s, logits=-s.logits, presence=0.1) for s in MANY]
    (text,) = model_outputs.check_inputs(other, {"under the other text side": ("text-side", MANY)})
    assert next(model_outputs.check_thresholds(lost)).weight < text.weight


def test_facts__are_what_the_first_look_asks_for() -> None:
    found = model_outputs.output_facts(MANY)
    assert found["pairs"] == 16
    assert found["pairs with an empty truth"] == 6
    assert found["lowest logit"] < found["mean logit"] < found["highest logit"]
    assert found["mean IoU at the stored threshold"] > 0.9
