"""The runtimes of a bundle agree, and say what they cannot do."""

from pathlib import Path

import numpy as np
import pytest

import drywallqa
from drywallqa.backend import Backend
from drywallqa.bundle.bundle import DEFAULT, FAST, HEAD, Bundle, load_bundle, with_smaller_window
from drywallqa.errors import BackendError, ConfigError, MissingExtraError
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import RuntimeOptions

PROMPTS = ["segment crack", "segment taping area"]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    if not (DEFAULT / HEAD).is_file():
        pytest.skip("the package has no trained bundle yet")
    return load_bundle()


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Backend:
    return bundle.open_backend(RuntimeOptions(threads=1))


def answers(backend: Backend, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return backend.decode(backend.encode_image(images), backend.encode_prompts(PROMPTS))


@pytest.mark.parametrize(("name", "tolerance"), [("openvino", 2e-3), ("torch", 0.2)])
def test_backends__agree(bundle: Bundle, reference: Backend, name: str, tolerance: float) -> None:
    """Torch starts from weights that are kept in half precision, hence its larger tolerance."""
    pytest.importorskip(name)
    other = Segmenter(bundle, RuntimeOptions(name, threads=1)).open()
    for shape in ((1, 3, 64, 96), (2, 3, 96, 64)):
        images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for expected, found in zip(answers(reference, images), answers(other, images), strict=True):
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < tolerance


def test_openvino__segments_in_threads(bundle: Bundle) -> None:
    pytest.importorskip("openvino")
    from concurrent.futures import ThreadPoolExecutor

    segmenter = Segmenter(bundle, RuntimeOptions(backend="openvino", threads=1))
    photos = [np.full((40, 60, 3), shade, np.uint8) for shade in (60, 120, 180, 240)]
    alone = [segmenter.segment(photo, PROMPTS) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda photo: segmenter.segment(photo, PROMPTS), photos * 2))
    for one, other in zip(alone * 2, together, strict=True):
        assert [p.presence for p in one] == pytest.approx([p.presence for p in other], abs=1e-5)


def test_torch__has_half_precision(bundle: Bundle, reference: Backend) -> None:
    pytest.importorskip("torch")
    images = np.zeros((1, 3, 64, 64), np.float32)
    logits, presence = answers(Segmenter(bundle, RuntimeOptions("torch", precision="bf16")).open(), images)
    assert logits.dtype == presence.dtype == np.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("tensorflow", {}, "onnxruntime, openvino, torch"),
        ("onnxruntime", {"precision": "fp8"}, "fp32, bf16, fp16, int8"),
        ("onnxruntime", {"precision": "bf16"}, "ONNX Runtime supports only fp32 and int8"),
        ("openvino", {"device": "npu"}, "--device cpu"),
        ("torch", {"device": "npu"}, "--device cpu"),
        ("torch", {"precision": "int8"}, "fp32, bf16 or fp16"),
    ],
)
def test_backends__say_what_they_cannot(bundle: Bundle, name: str, how: dict, words: str) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    with pytest.raises(BackendError, match=words):
        Segmenter(bundle, RuntimeOptions(name, **how)).open()


def test_backends__int8_that_was_never_made(bundle: Bundle) -> None:
    bare = Bundle(bundle.folder, "compact", "1", bundle.window, {}, files={"decoder.onnx": "00"})
    with pytest.raises(BackendError, match="--precision int8"):
        bare.open_backend(RuntimeOptions(precision="int8"))


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("openvino", "openvino", "openvino"), ("torch", "torch", "train")]
)
def test_backends__that_are_not_installed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    import sys

    for loaded in [m for m in sys.modules if m.startswith("drywallqa.models.torch_backend")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"drywallqa\[{extra}\]"):
        Segmenter(bundle, RuntimeOptions(name)).open()


def test_profile__fast_is_a_smaller_window(bundle: Bundle) -> None:
    fast = with_smaller_window(bundle)
    assert 0.4 < (fast.window.size / bundle.window.size) ** 2 < 0.65
    assert fast.window.size % fast.window.multiple == 0
    assert fast.version == f"{bundle.version} fast"
    assert drywallqa.load(bundle.folder, profile="fast").bundle.window == fast.window
    assert drywallqa.load(bundle.folder).bundle.window == bundle.window
    with pytest.raises(ConfigError, match="full, fast"):
        drywallqa.load(profile="furious")


def test_profile__of_the_bundled_models_fast_is_the_smaller_one() -> None:
    folders = [RuntimeOptions(profile=profile).folder_of(None) for profile in ("full", "fast")]
    assert folders == [DEFAULT, FAST]
    full, fast = map(load_bundle, folders)
    assert (full.name, fast.name) == ("compact", "swift")
    assert list(fast.concepts) == list(full.concepts)
    assert len(fast.read("model.safetensors")) < len(full.read("model.safetensors"))


def test_precision__fast_takes_int8_where_the_bundle_has_it(tmp_path: Path) -> None:
    def precision(folder: Path, profile: str, backend: str, wanted: str | None = None) -> str:
        return RuntimeOptions(backend, precision=wanted, profile=profile).precision_for(folder)

    assert precision(FAST, "fast", "onnxruntime") == "int8"
    assert precision(FAST, "fast", "torch") == "fp32"
    assert precision(FAST, "fast", "onnxruntime", "fp32") == "fp32"
    assert precision(DEFAULT, "full", "onnxruntime") == "fp32"
    assert precision(tmp_path, "fast", "openvino") == "fp32"
    assert drywallqa.load(profile="fast").precision == "int8"
