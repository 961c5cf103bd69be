from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from checks.test_label_checks import coarse_pair  # noqa: E402
from drywallqa.checks import weight_values  # noqa: E402
from drywallqa.checks.model_outputs import check_range  # noqa: E402
from small_model import Small  # noqa: E402


def names(found: list) -> list[str]:
    return [each.name for each in found]


def trained() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Linear(64, 64), nn.Linear(64, 32))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    return model


def test_check_weights__trained_ones_raise_nothing() -> None:
    assert weight_values.check_weights(trained().state_dict()) == []


def test_check_weights__names_what_is_wrong() -> None:
    model = trained()
    model[1].reset_parameters()
    (found,) = weight_values.check_weights(model.state_dict())
    assert found.name == "weights-untrained"
    assert "1.weight" in found.evidence
    assert weight_values.check_weights(model.state_dict(), trained=False) == []
    with torch.no_grad():
        model[2].weight.zero_()
    assert names(weight_values.check_weights(model.state_dict()))[0] == "weights-zero"
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = torch.nan
    assert names(weight_values.check_weights(model.state_dict())) == ["weights-not-finite"]


def test_check_weights__layers_at_their_start_come_before_the_prompt_that_they_ignore() -> None:
    model = trained()
    model[1].reset_parameters()
    (untrained,) = weight_values.check_weights(model.state_dict())
    (deaf,) = check_range([replace(coarse_pair(n), other=coarse_pair(n).logits) for n in range(10)])
    assert deaf.name == "prompt-ignored"
    assert untrained.weight > deaf.weight


def test_check_optimizer__what_was_left_out_and_what_never_moved() -> None:
    model = Small()
    trainable = [name for name, _ in model.named_parameters()]
    optimizer = torch.optim.AdamW(model.parameters())
    loss = sum(o.sum() for o in model(torch.rand(2, 3, 32, 32), torch.rand(2, 2, 6)))
    loss.backward()
    optimizer.step()
    assert weight_values.check_optimizer({"optimizer_states": [optimizer.state_dict()]}, trainable) == []
    optimizer.param_groups[0]["lr"] = 0.0
    found = weight_values.check_optimizer({"optimizer_states": [optimizer.state_dict()]}, trainable)
    assert names(found) == ["rate-too-low"]
    model.text.weight.grad.zero_()
    still = torch.optim.AdamW(model.parameters())
    still.step()
    found = weight_values.check_optimizer({"optimizer_states": [still.state_dict()]}, trainable)
    assert names(found) == ["no-gradient"]
    assert "text.weight" in found[0].evidence
    part = torch.optim.AdamW(model.encoder.parameters())
    part.step()
    assert names(weight_values.check_optimizer({"optimizer_states": [part.state_dict()]}, trainable)) == [
        "outside-optimizer"
    ]
    assert weight_values.check_optimizer({}, trainable) == []


def test_check_average__far_from_what_was_trained() -> None:
    model, other = trained().state_dict(), trained().state_dict()
    far = {name: tensor * 0.1 for name, tensor in other.items()}
    assert weight_values.check_weight_average(model, model, 1000) == []
    assert names(weight_values.check_weight_average(model, far, 1000)) == ["average-stale"]
