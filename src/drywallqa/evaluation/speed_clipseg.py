"""Plain transformers CLIPSeg as the measure: right size, random weights, the photo anew for each prompt."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from drywallqa.errors import MissingExtraError
from drywallqa.evaluation.speed_cases import PROMPTS, Photo, time_repeatedly
from drywallqa.imaging.letterbox import Letterbox, sigmoid

SIZE = 352
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def time_clipseg(
    photo: Photo, threads: int, seconds: float, prompts: tuple[int, ...] = (1, 5)
) -> dict[str, Any]:
    """Time it from an RGB array to masks at the photo's size.

    Args:
        photo: uint8 [H,W,3].
        threads: Threads of torch.
        seconds: How long each number of prompts is repeated.
        prompts: Numbers of prompts.

    Returns:
        `parameters`, and by number of prompts `median_ms` and `cpu_ms` (processor time of all threads).

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch

        from drywallqa.models import registry

        model: Any = registry.create_model("clipseg")
    except ModuleNotFoundError as error:
        raise MissingExtraError("the comparison with CLIPSeg", "train") from error
    torch.set_num_threads(threads)
    model.eval()
    window = Letterbox(SIZE, square=True, mean=_MEAN, std=_STD)
    ids = model.tokenize(list(PROMPTS))

    def ask(count: int) -> list[Any]:
        with torch.inference_mode():
            canvas, placement = window.fit(photo)
            pixels = torch.from_numpy(canvas[None])
            found = []
            for number in range(count):
                logits = model.network(input_ids=ids[number : number + 1], pixel_values=pixels).logits
                probability = sigmoid(placement.restore(logits.reshape(SIZE, SIZE).numpy()))
                found.append(probability > np.float32(0.5))
            return found

    times: dict[int, float] = {}
    processor: dict[int, float] = {}
    for count in prompts:
        spent: list[float] = []
        times[count] = 1e3 * float(
            np.median(time_repeatedly(partial(ask, count), seconds, least=3, spent=spent))
        )
        processor[count] = 1e3 * float(np.median(spent))
    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "median_ms": times, "cpu_ms": processor}
