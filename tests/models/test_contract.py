"""One test of the contract over all families, by what each declares, on tiny random weights."""

import numpy as np
import pytest
import torch

from drywallqa.errors import ModelError, PromptError
from drywallqa.exporting import onnx_export
from drywallqa.models import registry
from drywallqa.models.contract import TrainedLayers, with_presence
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.training.losses import mask_loss, presence_loss
from drywallqa.training.task import parameter_groups

OPTIONS = {
    "compact": [{"width": 16, "embedding_width": 32}],
    "swift": [{"width": 16, "embedding_width": 32}],
    "clipseg": [{"size": "tiny"}],
    "clip-cnn": [{"size": "tiny"}],
    "clip-unet": [
        {"size": "tiny", "width": 8, "fusion": fusion, "pyramid": pyramid}
        for fusion, pyramid in (("film", False), ("cross-attention", True), ("both", False))
    ],
    "sam-clip": [{"size": "tiny"}],
    "sam-clip-zero-shot": [{"size": "tiny", "points": 2, "kept": 3}],
}
CASES = [(name, options) for name in registry.FAMILIES for options in OPTIONS[name]]
NAMES = [name if len(OPTIONS[name]) == 1 else f"{name}-{options['fusion']}" for name, options in CASES]
PROMPTS = ["segment crack", "segment joint/tape", "dog"]
every_family = pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES)


def make(name, options, seed=0):
    torch.manual_seed(seed)
    model = registry.create_model(name, **options)
    model.freeze(TrainedLayers(frozen_stages=0))
    return model


def photos(name, count=2, seed=1):
    family = registry.find_family(name)
    side = 128 if family.side else 64
    width = side if family.square else 96
    return torch.randn(count, 3, side, width, generator=torch.Generator().manual_seed(seed))


def frozen_names(model):
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def embed(model, count=3):
    if model.own_text:
        return model.encode_prompts(PROMPTS[:count]).detach()
    return torch.randn(count, model.embedding_width, generator=torch.Generator().manual_seed(2))


@every_family
def test_contract__shapes_shared_and_per_photo(name, options):
    model = make(name, options).eval()
    images, prompts = photos(name), embed(model)
    with torch.no_grad():
        features = model.encode_image(images)
        shared, presence = model.decode(features, prompts)
        own, own_presence = model.decode(features, torch.stack([prompts, prompts.flip(0)]))
    grid = (images.shape[2] // model.stride, images.shape[3] // model.stride)
    assert all(part.shape[0] == 2 for part in features)
    assert shared.shape == own.shape == (2, 3, *grid)
    assert presence.shape == own_presence.shape == (2, 3)
    torch.testing.assert_close(own[0], shared[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own[1], shared[1].flip(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own_presence[1], presence[1].flip(0), atol=1e-4, rtol=1e-4)


@every_family
def test_contract__row_of_a_batch_is_the_photo_alone(name, options):
    model = make(name, options).eval()
    images, prompts = photos(name), embed(model)
    with torch.no_grad():
        together = model(images, prompts)
        alone = model(images[1:], prompts[:1])
    torch.testing.assert_close(together[0][1:, :1], alone[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[1][1:, :1], alone[1], atol=1e-4, rtol=1e-4)


@every_family
def test_contract__gradients_reach_all_that_is_trained(name, options):
    model = make(name, options).train()
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert bool(parameters) is registry.find_family(name).trainable
    if not parameters:
        return
    logits, presence = model(photos(name), embed(model))
    truth = torch.zeros_like(logits)
    truth[:, 0, 4:12, 4:12] = 1
    known = torch.ones(presence.shape)
    (mask_loss(logits, truth, known, 1.0) + presence_loss(presence, truth, known)).backward()
    without = [n for n, p in parameters.items() if p.grad is None or not p.grad.abs().max() > 0]
    # keys of a softmax do not feel a bias that all share
    assert [n for n in without if not n.endswith("k_proj.bias")] == []
    groups = parameter_groups(model, 1e-5, 1e-4, 0.01)
    optimised = {id(p) for group in groups for p in group["params"]}
    assert optimised == {id(p) for p in parameters.values()}
    assert frozen_names(model) == {n for n, _ in model.named_parameters()} - set(parameters)


@every_family
def test_contract__saved_and_reloaded_is_identical(name, options, tmp_path):
    model = make(name, options).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = make(name, options, seed=9).eval()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    images, prompts = photos(name), embed(model)
    with torch.no_grad():
        first, second = model(images, prompts), other(images, prompts)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@every_family
def test_contract__deterministic_under_a_seed(name, options):
    images = photos(name)
    first, second = make(name, options, seed=4).eval(), make(name, options, seed=4).eval()
    with torch.no_grad():
        assert torch.equal(first(images, embed(first))[0], second(images, embed(second))[0])


@every_family
def test_contract__photo_encoded_once_for_all_prompts(name, options):
    model = make(name, options)
    calls = []
    first = next(m for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d) and "decoder" not in n
                 and "mask" not in n)  # fmt: skip
    first.register_forward_hook(lambda *_: calls.append(1))
    embeddings = embed(model).numpy()
    backend = TorchBackend(model, lambda prompts: embeddings)
    features = backend.encode_image(photos(name, 1).numpy())
    encoded = len(calls)
    assert encoded >= 1
    for _ in range(2):
        logits, _ = backend.decode(features, embeddings)
    assert logits.dtype == np.float32
    assert len(calls) == encoded


@every_family
def test_contract__size_that_does_not_fit_is_refused(name, options):
    with pytest.raises(ModelError, match="not 50×64"):
        make(name, options).encode_image(torch.zeros(1, 3, 64, 50))


@every_family
def test_contract__no_prompt_is_refused(name, options):
    model = make(name, options).eval()
    with torch.no_grad():
        features = model.encode_image(photos(name))
    with pytest.raises(PromptError, match="no prompt"):
        model.decode(features, torch.zeros(0, model.embedding_width))
    if model.own_text:
        with pytest.raises(PromptError, match="no prompt"):
            model.encode_prompts([])


@pytest.mark.parametrize(
    ("name", "options"), [c for c in CASES if "onnx" in registry.find_family(c[0]).exports],
    ids=[n for c, n in zip(CASES, NAMES, strict=True) if "onnx" in registry.find_family(c[0]).exports],
)  # fmt: skip
def test_contract__onnx_agrees_at_two_batch_sizes(name, options, tmp_path):
    assert onnx_export.TOLERANCE <= 1e-4
    assert len({photos for photos, *_ in onnx_export._TRIALS}) == 2
    model = make(name, options)
    # raises where the fp32 graphs differ by more than the tolerance
    onnx_export.export_graphs(model, tmp_path / "e.onnx", tmp_path / "d.onnx", model.embedding_width)


@pytest.mark.parametrize("name", registry.FAMILIES)
def test_registry__parameters_as_declared(name):
    with torch.device("meta"):
        model = registry.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == registry.find_family(name).parameters


def test_clip_cnn__counts_of_the_report():
    with torch.device("meta"):
        model = registry.create_model("clip-cnn")
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    assert count(model.clip) == 149_620_737
    assert count(model.decoder) == 516_609
    assert count(model.clip) + count(model.decoder) == 150_137_346
    assert count(model.photo_projection) + count(model.prompt_projection) == 82_048


def test_clip_cnn__unfrozen_towers_get_gradients_through_token_ids():
    model = registry.create_model("clip-cnn", size="tiny")
    model.freeze(TrainedLayers(vision_layers=99, text_layers=99))
    logits, presence = model(torch.randn(2, 3, 64, 64), model.tokenize(["crack", "seam in the wall"]))
    (logits.sum() + presence.sum()).backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None] == []
    frozen = frozen_names(model)
    assert all(n.startswith(model.stops) for n in frozen)
    assert sorted({n.split(".")[1] if "vision" not in n else n.split(".")[2] for n in frozen}) == [
        "logit_scale", "post_layernorm", "visual_projection",
    ]  # fmt: skip


def test_freeze__by_depth():
    model = registry.create_model("clipseg", size="tiny")
    model.freeze(TrainedLayers())
    assert model.encoder_is_frozen
    assert model.text_is_frozen
    model.freeze(TrainedLayers(vision_layers=1))
    trained = {n for n, p in model.named_parameters() if p.requires_grad and "vision_model" in n}
    assert {n.split("layers.")[1][0] for n in trained} == {"2"}
    assert not model.encoder_is_frozen
    groups = parameter_groups(model, 1e-5, 1e-4, 0.0)
    assert {group["lr"] for group in groups} == {1e-5, 1e-4}


def test_clipseg__equals_plain_transformers():
    model = registry.create_model("clipseg", size="tiny").eval()
    image, prompts = photos("clipseg", 1), PROMPTS
    with torch.no_grad():
        plain = model.network(input_ids=model.tokenize(prompts), pixel_values=image.expand(3, -1, -1, -1))
        logits, _ = model(image, model.encode_prompts(prompts))
    assert plain.logits.abs().max() > 0.01
    torch.testing.assert_close(logits[0], plain.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "size", "fitted"), [("clipseg", 350, 352), ("sam-clip", 512, 1024)])
def test_window__other_sizes_are_fitted_and_said(name, size, fitted):
    said = []
    assert registry.find_family(name).letterbox(size, said.append).size == fitted
    assert f"{fitted} px instead of {size} px" in said[0]
    assert registry.find_family("clipseg").letterbox(256, said.append).size == 256
    assert len(said) == 1


def test_presence__of_a_thin_truth_as_of_a_thick_one():
    thin, thick, stray = (torch.full((32, 32), -6.0) for _ in range(3))
    thin[:, 9], thick[:, 9:25], stray[9, 9] = 6.0, 6.0, 6.0
    _, (presence,) = with_presence(torch.stack([thin, thick, stray]), 1)
    assert presence[0] == presence[1] == 6
    assert presence[2] < 0


def test_registry__unknown_names():
    with pytest.raises(ModelError, match="nearest is 'clipseg'"):
        registry.find_family("clip-seg")
    with pytest.raises(ModelError, match="fusion 'add' is not known"):
        registry.create_model("clip-unet", size="tiny", fusion="add")
    with pytest.raises(ModelError, match="unexpected keyword argument 'colour'"):
        registry.create_model("clipseg", colour="red")
