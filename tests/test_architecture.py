"""The house rules that a machine can check: floors, light rooms, no two files that import each other."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
PACKAGE = "drywallqa"

# The same table stands in docs/architecture.md; a test below holds the two against each other.
FLOORS = (
    (14, ("cli",)),
    (13, ("server",)),
    (12, ("workflows",)),
    (11, ("fleet",)),
    (10, ("reports",)),
    (9, ("visualization",)),
    (8, ("diagnosis", "experiments", "exporting")),
    (7, ("training",)),
    (6, ("sampling", "evaluation", "curation")),
    (5, ("inspection",)),
    (4, ("inference",)),
    (3, ("models", "datasets", "checks", "synthetic", "text_training")),
    (2, ("bundle", "formats")),
    (1, ("text", "imaging")),
)
FLOOR_OF = {folder: floor for floor, folders in FLOORS for folder in folders}
LOOSE = {"metrics": 2, "intervals": 2}  # files beside the folders; all others lie on the ground
GROUND = 0

# What the base install lacks. Rooms that it runs may only ask for them inside a function.
HEAVY = {
    "torch", "lightning", "torchmetrics", "safetensors", "onnx", "onnxscript", "pydantic", "yaml", "cv2",
    "scipy", "skimage", "transformers", "kornia", "sklearn", "openvino", "ray", "fastapi", "uvicorn",
    "pi_heif", "matplotlib",
}  # fmt: skip
NEVER_TORCH = {
    "inference", "bundle", "text", "imaging", "synthetic", "cli", "datasets", "formats", "curation",
    "evaluation", "diagnosis", "visualization", "reports", "workflows",
}  # fmt: skip


def files() -> list[Path]:
    return sorted((SOURCE / PACKAGE).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in files())


def room_of(module: str) -> str:
    """The folder that a module lies in; "" for the ground."""
    parts = module.split(".")
    is_folder = (SOURCE / PACKAGE / parts[1]).is_dir() if len(parts) > 1 else False
    return parts[1] if is_folder else ""


def floor_of(module: str) -> int:
    room = room_of(module)
    return FLOOR_OF[room] if room else LOOSE.get(module.split(".")[-1], GROUND)


def imported(tree: ast.AST) -> set[str]:
    """Names of everything that is imported anywhere in a tree, our own resolved to modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.add(whole if whole in modules() else node.module)
    return names


@cache
def graph() -> dict[str, frozenset[str]]:
    """Module → the modules of this package that it imports, at the top or inside functions."""
    return {
        module_of(path): frozenset(
            name
            for name in imported(ast.parse(path.read_text(encoding="utf-8")))
            if name.split(".")[0] == PACKAGE and name != module_of(path)
        )
        for path in files()
    }


def is_door(module: str) -> bool:
    """The package's face and `python -m drywallqa` hand out what lies upstairs."""
    return module in {PACKAGE, f"{PACKAGE}.__main__"}


def test_rooms__each_has_a_floor() -> None:
    rooms = {path.name for path in (SOURCE / PACKAGE).iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(FLOOR_OF), "a new room needs a floor, here and in docs/architecture.md"


def test_rooms__are_one_folder_deep() -> None:
    deep = [module for module in modules() if module.count(".") > 2]
    assert not deep


def test_imports__only_downwards() -> None:
    wrong = []
    for module, targets in graph().items():
        for target in targets:
            beside = room_of(module) == room_of(target) and floor_of(module) == floor_of(target)
            if is_door(module) or is_door(target) or beside:
                continue
            if floor_of(target) >= floor_of(module):
                wrong.append(f"{module} (floor {floor_of(module)}) imports {target} ({floor_of(target)})")
    assert not wrong, "\n".join(wrong)


def test_imports__no_two_files_import_each_other() -> None:
    mutual = {
        tuple(sorted((module, target)))
        for module, targets in graph().items()
        for target in targets
        if module in graph().get(target, ())
    }
    assert not mutual


def test_imports__no_circle_of_any_length() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path[path.index(module) :], module))
        if module not in done:
            for target in sorted(graph().get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(graph()):
        visit(module, ())


def top_level_imports(path: Path) -> set[str]:
    """What is imported as soon as a file is: everything outside functions and `if TYPE_CHECKING`."""
    body: list[ast.stmt] = []
    waiting: list[ast.stmt] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        body.append(node)
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    simple = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name.split(".")[0] for node in simple for name in imported(node)}


@pytest.mark.parametrize("room", ["", *sorted(NEVER_TORCH)])
def test_light_rooms__import_nothing_heavy_at_the_top(room: str) -> None:
    heavy = {
        str(path.relative_to(SOURCE)): found
        for path in files()
        if room_of(module_of(path)) == room and (found := top_level_imports(path) & HEAVY)
    }
    assert not heavy


@pytest.mark.parametrize("room", ["", "inference", "bundle", "formats", "text", "imaging", "synthetic"])
def test_ground_and_inference__never_ask_for_torch_at_all(room: str) -> None:
    asked = [
        str(path.relative_to(SOURCE))
        for path in files()
        if room_of(module_of(path)) == room
        and any(
            name.split(".")[0] in {"torch", "lightning"}
            for name in imported(ast.parse(path.read_text("utf-8")))
        )
    ]
    assert not asked


def test_ground__knows_no_runtime() -> None:
    asked = [
        str(path.relative_to(SOURCE))
        for path in files()
        if floor_of(module_of(path)) == GROUND
        and path.stem != "onnx_session"
        and any(name.split(".")[0] == "onnxruntime" for name in imported(ast.parse(path.read_text("utf-8"))))
    ]
    assert not asked


def test_verbs__import_no_other_verb() -> None:
    shared = {"drywallqa.cli", "drywallqa.cli.progress", "drywallqa.cli.verbs"}
    shared |= {f"drywallqa.cli.data_{part}" for part in ("export", "import", "rank", "render")}  # of `data`
    verbs = {name for name in modules() if name.startswith("drywallqa.cli.")} - shared
    crossing = {
        module: sorted(targets & verbs)
        for module, targets in graph().items()
        if module in verbs and targets & verbs
    }
    assert not crossing


def test_files__stay_under_300_lines() -> None:
    long = {
        path.name: count
        for path in files()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long


def test_names__no_two_files_classes_or_public_functions_share_one() -> None:
    """A workflow and its verb bear one name on purpose: what a verb does lies in the workflow."""
    places: dict[tuple[str, str], list[str]] = {}
    for path in files():
        module = module_of(path)
        folder = room_of(module)
        if path.stem not in ("__init__", "__main__") and folder != "cli":
            places.setdefault(("file", path.stem), []).append(module)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            kind = {ast.ClassDef: "class", ast.FunctionDef: "function"}.get(type(node))
            name = getattr(node, "name", "_")
            if kind and not name.startswith("_") and folder != "cli":
                places.setdefault((kind, name), []).append(module)
    shared = {thing: modules for thing, modules in places.items() if len(modules) > 1}
    assert not shared


def test_functions__stay_near_40_lines() -> None:
    """A signature with a help text an option is no length of thought, so only bodies count."""
    long = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                start = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
                if (length := (node.end_lineno or start) - start + 1) > 40:
                    long[f"{path.name}: {node.name}"] = length
    assert not long


def test_architecture_page__has_the_same_floors() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|\s*(\d+)\s*\|([^|]*)\|", page, flags=re.MULTILINE)
    written = {room: int(floor) for floor, cell in rows for room in re.findall(r"`(\w+)/`", cell)}
    assert written == FLOOR_OF
    loose = {
        f"{name}.py": floor_of(f"{PACKAGE}.{name}")
        for module in modules()
        if module.count(".") == 1 and not room_of(module) and not is_door(module)
        for name in [module.split(".")[1]]
    }
    named = {name: int(floor) for floor, cell in rows for name in re.findall(r"`(\w+\.py)`", cell)}
    assert named == {name: floor for name, floor in loose.items() if name != "_version.py"}


def test_architecture_page__diagrams_name_what_exists_and_arrows_follow_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing, loose = [], []
    for diagram in re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL):
        homes = {}
        for node, name in re.findall(r'(\w+)\["([\w.]+)', diagram):
            parts = f"{PACKAGE}.{name}".split(".")
            home = ".".join(parts[: 3 if parts[1] in FLOOR_OF else 2])
            homes[node] = home
            defined = ast.parse((SOURCE / (home.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
            for part in parts[len(home.split(".")) :]:
                found = [n for n in getattr(defined, "body", ()) if getattr(n, "name", "") == part]
                defined = found[0] if found else ast.Module([], [])
                missing += [] if found else [name]
        for first, second in re.findall(r"^ *(\w+)(?:\[[^]]*\])? --> (\w+)", diagram, re.MULTILINE):
            if homes[second] not in reached_from(homes[first]):
                loose.append((homes[first], homes[second]))
    assert not missing
    assert not loose


@cache
def reached_from(module: str) -> frozenset[str]:
    """A module, and all that it imports, directly or through others."""
    reached, waiting = {module}, [module]
    while waiting:
        new = graph().get(waiting.pop(), frozenset()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


# Who may show pixels to a model. Everything else that needs a mask asks `Segmenter.answer`, so that what is
# measured is what ships.
ASKS_A_MODEL = {
    "inference.predictor": "the one path from a photo to a mask",
    "inference.tiling": "the same, of large photos",
    "models.contract": "the torch models themselves",
    "models.lite_models": "the torch models themselves",
    "models.torch_backend": "a torch model, or a bundle's weights, as a backend",
    "diagnosis.probe": "a backend that remembers its answers, behind a segmenter",
    "curation.learning_signals": "a backend that records features, behind a segmenter",
    "evaluation.speed_parts": "a backend that times its calls, behind a segmenter",
    "training.task": "training",
    "sampling.feature_cache": "training from kept features",
    "diagnosis.file_checks": "a check of graphs: do they compute what the weights do",
    "exporting.onnx_export": "a check of graphs: does ONNX agree with torch",
    "exporting.runtime_formats": "a check of graphs: does another form agree with the first",
}


def test_one_path__only_these_show_pixels_to_a_model() -> None:
    found = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            asks = isinstance(called, ast.Attribute) and called.attr in ("encode_image", "decode")
            text = any(isinstance(argument, ast.Constant) for argument in node.args) if asks else True
            if asks and not text and (called.attr == "encode_image" or len(node.args) == 2):
                found.add(module_of(path).removeprefix(f"{PACKAGE}."))
    assert found == set(ASKS_A_MODEL)
