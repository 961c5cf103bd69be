from pathlib import Path

import pytest

from drywallqa import cli, errors


@pytest.mark.usefixtures("fake_bundle")
def test_arguments__that_are_no_text_are_still_checked(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["segment", "no.jpg", "--prompt", "crack", "--out", "out", "--threads"]
    assert cli.main([*arguments, "many"]) == 2
    assert cli.main([*arguments, "0"]) == 2
    assert "threads" in capsys.readouterr().err


def test_arguments__threads_reach_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_bundle: object
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(
        type(fake_bundle), "open_backend", lambda self, options: asked.append(options) or self.backend
    )
    cli.main(["segment", "no.jpg", "-p", "crack", "--out", "out", "--threads", "2", "--device", "gpu"])
    assert [(options.backend, options.device, options.threads) for options in asked] == [
        ("onnxruntime", "gpu", 2)
    ]


def test_help__names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.VERBS)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PhotoError("a.jpg", "bad", "mend it"), 3),
        (errors.DataError("bad"), 3),
        (errors.BundleError("bad"), 2),
        (errors.OutputError("bad"), 2),
    ],
)
def test_main__errors_become_one_line(
    error: errors.DrywallQAError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import drywallqa.bundle.bundle

    def fail(folder: object = None) -> None:
        raise error

    monkeypatch.setattr(drywallqa.bundle.bundle, "load_bundle", fail)
    assert cli.main(["segment", "a.jpg", "--prompt", "crack", "--out", "out"]) == code
    assert capsys.readouterr().err == f"error: {error}\n"
