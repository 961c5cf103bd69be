"""Run two commits on the same photos and compare all files that they write, byte by byte.

    python tools/compare_commits.py --base COMMIT [--head COMMIT] [--data DIR] [--out FILE.md] [--count 60]

Both commits run on this machine with this interpreter, only through the command line. The default of --head
is this working tree. The exit code is 1 if files differ that `EXPECTED` does not list.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import version
from itertools import product
from pathlib import Path

# Words in the base's commands → words in the head's commands, such as a command, an option or a path.
RENAMED: dict[str, str] = {}

# Pattern of run/file for files that may differ → reason.
EXPECTED: dict[str, str] = {
    "evaluate-*/out/pictures/*": "Matplotlib draws the charts, and panels replace the sheets of examples",
    "evaluate-*/out/failures/*.png": "reworded captions",
    "evaluate-*/out/[eft]*.*": "line metrics and causes of failures for all thin concepts; reworded",
    "evaluate-*/out/panels/panels.json": "reworded causes of failures",
    "*/stdout-*.txt": "reworded messages",
    "*/stderr-*.txt": "reworded messages",
}

# Text that varies between runs of the same commit: its description, its pattern, and its replacement.
VARIES = (
    ("seconds and milliseconds", r'"(seconds|\w+_ms)": [\d.e+-]+', rb'"\1": 0'),
    ("seconds in the last line of a run", r"\bin [\d.]+ s\b", b"in 0 s"),
    ("`source_modified`, the time of a photo's file", r'"source_modified": \d+', b'"source_modified": 0'),
    ("`worker`, the process of a Ray run that segmented a photo", r'"worker": "[^"]*"', b'"worker": ""'),
    ("the dated lines that Ray prints on standard error", r"(?m)^\[?\d{4}-\d\d-\d\d \d\d:.*\n", b""),
    ("absolute addresses of pages", r"file://\S+", b"file"),
    ("the package's version", r'\bdrywallqa \d+\.\d+\.\w+|"package": "\d+\.\d+\.\w+"', b"version"),
)
TEXT = {".json", ".jsonl", ".csv", ".txt", ".html", ".parquet"}

ASK = ("--prompt", "segment crack", "--prompt", "segment taping area", "--prompt", "segment seam line",
       "--probability", "--lines", "--json")  # fmt: skip
MODELS = {"compact": (), "swift": ("--model", "checkout/src/drywallqa/bundles/swift")}
SEGMENT = (  # name, photos, options
    ("plain", "all", ""),
    ("whole", "all", "--scale fit"),
    ("tiles-native", "large", "--scale native"),
    ("tiles-auto", "large", "--scale auto --overlay"),
    ("refined", "mixed", "--refine guided+morphology+join --overlay"),
    ("crf", "few", "--refine crf"),
    ("ray", "mixed", "--engine ray"),
)
HAS_RAY = importlib.util.find_spec("ray") is not None
ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("DRYWALLQA_DATA", ROOT.parent / "shared" / "data")


@dataclass(frozen=True)
class Run:
    """Commands that both commits run one after another. They write into a folder with the run's name."""

    name: str
    photos: str
    commands: Sequence[Sequence[str]]
    exit_code: int = 0


@dataclass(frozen=True)
class Side:
    """The base or the head, with its code and the folder in which its commands run."""

    commit: str
    checkout: Path
    folder: Path

    def python(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run this interpreter so that it imports the code of this side."""
        env = os.environ | {"PYTHONPATH": str(self.checkout / "src")}
        return subprocess.run([sys.executable, *words], cwd=self.folder, env=env, capture_output=True)

    def carry_out(self, run: Run) -> float:
        """Carry out a run and return its seconds. Printed text and exit codes are stored with the results."""
        into, began = self.folder / run.name, time.perf_counter()
        into.mkdir()
        for number, words in enumerate(run.commands, 1):
            done = self.python("-m", "drywallqa", *(words if self.folder.name == "base" else renamed(words)))
            (into / f"stdout-{number}.txt").write_bytes(done.stdout)
            (into / f"stderr-{number}.txt").write_bytes(done.stderr)
            (into / f"exit-code-{number}.txt").write_text(f"{done.returncode}\n", encoding="utf-8")
            if self.folder.name == "base" and done.returncode != run.exit_code:
                raise SystemExit(f"error: {' '.join(words)}: {done.returncode}\n{done.stderr.decode()}")
        return time.perf_counter() - began


@dataclass
class Result:
    """The result of a run, with numbers of equal files, and the names and faults of different files.

    A text file is reworded if its words differ, but both versions have the same numbers.
    """

    run: Run
    seconds: str
    equal: int = 0
    but_varying: int = 0
    reworded: int = 0
    different: dict[str, str] = field(default_factory=dict)

    def unexpected(self) -> int:
        """Count the different files that `EXPECTED` does not list."""
        return sum(not any(fnmatch(name, pattern) for pattern in EXPECTED) for name in self.different)

    def cells(self) -> list[object]:
        """Return a row of the report's table."""
        counts = self.equal, self.but_varying, self.reworded, len(self.different)
        return [self.run.name, self.run.photos, sum(counts), *counts, self.unexpected(), self.seconds]


def renamed(words: Iterable[str]) -> list[str]:
    """Translate a command of the base into a command of the head."""
    told = "\n".join(["", *words, ""])
    for old, new in RENAMED.items():
        told = told.replace("\n".join(["", *old.split(), ""]), "\n".join(["", *new.split(), ""]))
    return told.split("\n")[1:-1]


def data_runs(data: Path, rendered: int) -> Iterator[Run]:
    """Yield the runs that create the data sets, which are rendered walls and, if present, two public sets."""
    phone = max(6, rendered // 10)
    render = ("data", "render", "rendered/out", "--split", "test", "--seed", "102", "--count")
    walls = (*render, str(max(6, rendered - phone)), "--set", "walls")
    yield Run("rendered", str(rendered), [walls, (*render, str(phone), "--set", "phone", "--phone")])
    if data.is_dir():
        bring = ("data", "import", "--out", "public/out", "--concept")
        crack = ("NewCracks - v2 2024-05-18 10-54pm=crack", "--absent", "taping area", "--set", "cracks")
        taping = ("drywall-join=taping area", "--absent", "crack", "--set", "taping")
        split = ("data", "split", "public/out", "--by-csv", str(ROOT / "benchmarks" / "split.csv"))
        exports = (*crack, str(data / "cracks.yolov8")), (*taping, str(data / "drywall-join-detect.coco"))
        imports = [(*bring, *export) for export in exports]
        yield Run("public", "both sets", [*imports, split, ("data", "seam-lines", "public/out")])


def segment_runs(photos: dict[str, list[str]]) -> Iterator[Run]:
    """Yield the runs that segment photos whole, in tiles, refined, on Ray, and with unreadable input."""
    every = [path for paths in photos.values() for path in paths]
    large = spread([*photos["phone"], *photos.get("large-walls", ())], 6)
    chosen = {"all": every, "large": large, "mixed": spread(every, 12), "few": spread(every, 6)}

    def run(name: str, paths: Sequence[str], *options: str, exit_code: int = 0) -> Run:
        words = ("segment", *paths, *ASK, *options, "--out", f"{name}/out")
        return Run(name, str(len(paths)), [words], exit_code)

    for (name, which, options), (bundle, model) in product(SEGMENT, MODELS.items()):
        if name != "ray" or HAS_RAY:
            yield run(f"{name}-{bundle}", chosen[which], *options.split(), *model)
    yield run("fast", chosen["mixed"], "--profile", "fast")
    yield run("bad-input", [*chosen["few"], "checkout/README.md", "no.jpg"], "--prompt=unicorn", exit_code=3)
    yield Run("demo", "8", [("demo", "--out", "demo/out")])


def evaluate_runs(sets: Iterable[str]) -> Iterator[Run]:
    """Yield the runs that evaluate both bundles on rendered walls and on the val split of the public sets."""
    for data, (bundle, model) in product(sets, MODELS.items()):
        name, split = f"evaluate-{data}-{bundle}", "val" if data == "public" else "test"
        words = ("evaluate", "--data", f"{data}/out", "--split", split, "--allow-leak", *model)
        yield Run(name, f"part {split}", [(*words, "--out", f"{name}/out")])


def choose_photos(base: Path, data: Path, count: int, rendered: int) -> dict[str, list[str]]:
    """Choose the rendered photos, and about equally many photos of each real set, for both commits."""
    chosen = {path.name: spread(path, rendered) for path in base.glob("rendered/out/photos/*")}
    real = {path.name: path for path in sorted(base.glob("public/out/photos/*"))}
    real |= {path.parent.name: path for path in sorted(data.glob("elsewhere/*/images"))}
    for place, (name, folder) in enumerate(real.items()):
        chosen[name] = spread(folder, len(range(place, count - rendered, len(real))))
    return chosen


def spread(of: Path | list[str], count: int) -> list[str]:
    """Return at most `count` items of a folder or list, evenly spread."""
    items = sorted(map(str, of.iterdir())) if isinstance(of, Path) else of
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def compare(run: Run, base: Side, head: Side) -> Result:
    """Carry out a run on both sides and compare all files in the folders of the run."""
    result = Result(run, f"{base.carry_out(run):.0f} and {head.carry_out(run):.0f}")
    folders = base.folder / run.name, head.folder / run.name
    names = [{path.relative_to(top) for path in top.rglob("*") if path.is_file()} for top in folders]
    for name in sorted(names[0] | names[1]):
        if name not in names[0] & names[1]:
            result.different[f"{run.name}/{name}"] = f"only in {'base' if name in names[0] else 'head'}"
        elif (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes():
            result.equal += 1
        elif len({without_varying(top / name, run.name.startswith("ray")) for top in folders}) == 1:
            result.but_varying += 1
        elif Path(name).suffix in TEXT and numbers_of(folders[0] / name) == numbers_of(folders[1] / name):
            result.reworded += 1
        else:
            result.different[f"{run.name}/{name}"] = "other content"
    told = "{} ({}): {} files, {} + {} equal, {} reworded, {} different, {} unexpected; {} s"
    print(told.format(*result.cells()), flush=True)
    return result


def without_varying(path: Path, any_order: bool) -> bytes:
    """Read a file. From text and tables, remove the values that vary between runs of the same commit."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        from pyarrow import parquet  # comes with Ray

        rows = parquet.read_table(path)
        content = "\n".join([str(rows.schema), *map(json.dumps, rows.to_pylist())]).encode()
    for _, pattern, instead in VARIES if path.suffix in TEXT else ():
        content = re.sub(pattern.encode(), instead, content)
    return b"\n".join(sorted(content.split(b"\n"))) if any_order and path.suffix in TEXT else content


def numbers_of(path: Path) -> Counter[bytes]:
    """Count the numbers in a text file, without those that vary between runs of the same commit."""
    return Counter(re.findall(rb"\d+(?:\.\d+)?", without_varying(path, any_order=True)))


def report(sides: Sequence[Side], photos: dict[str, list[str]], results: Sequence[Result]) -> str:
    """Return the comparison as a Markdown report."""
    versions = [f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "pillow")]
    versions += [f"ray {version('ray')}" if HAS_RAY else "no ray, so the Ray runs were skipped"]
    lines = [
        f"# {sides[1].commit} and {sides[0].commit}: {sum(map(Result.unexpected, results))} differences\n",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.platform()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"\n{sum(map(len, photos.values()))} photos, rendered (walls, phone) and real (all others): "
        + ", ".join(f"{name} {len(paths)}" for name, paths in photos.items()),
        *table(
            "run|photos|files|equal|varying|reworded|different|unexpected|seconds", map(Result.cells, results)
        ),
        "\nEqual files agree in every byte. Varying files agree without the values listed below. Parquet",
        "tables are compared by their rows, and the text of Ray runs without the order of its lines.",
        "Reworded files have other words and the same numbers. The values that vary:\n",
        *(f"- {words}" for words, _, _ in VARIES),
        *table("different file|how", [item for result in results for item in result.different.items()]),
        *table("expected to differ|why", EXPECTED.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def table(titles: str, rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a Markdown table."""
    names = titles.split("|")
    return ["", *(f"| {' | '.join(map(str, row))} |" for row in (names, ["---"] * len(names), *rows))]


@contextmanager
def side(name: str, commit: str, work: Path) -> Iterator[Side]:
    """Set up the base or the head, and remove its checkout at the end."""
    here = commit == "worktree"
    checkout, folder = ROOT if here else work / f"{name}-checkout", work / name
    label = git("describe", "--always", "--dirty") if here else git("rev-parse", "--short", commit)
    if not here:
        git("worktree", "add", "--quiet", "--detach", str(checkout), commit)
    try:
        folder.mkdir()
        (folder / "checkout").symlink_to(checkout)
        made = Side(label, checkout, folder)
        where = made.python("-c", "import drywallqa; print(drywallqa.__file__)").stdout.decode()
        if str(checkout / "src") not in where:
            raise SystemExit(f"error: {name} would import the code of another checkout")
        yield made
    finally:
        if not here:
            git("worktree", "remove", "--force", str(checkout))


def git(*words: str) -> str:
    """Run git in this repository and return what it prints."""
    return subprocess.check_output(["git", "-C", str(ROOT), *words], text=True).strip()


def main() -> int:
    """Compare the commits and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", default="worktree")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, help="file for the report; default: print the report")
    parser.add_argument("--count", type=int, default=60)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the checkouts are removed
    data, count = asked.data.resolve(), asked.count
    rendered = count // 3 if data.is_dir() else count
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        with side("base", asked.base, work) as base, side("head", asked.head, work) as head:
            results = [compare(run, base, head) for run in data_runs(data, rendered)]
            photos = choose_photos(base.folder, data, count, rendered)
            runs = (*segment_runs(photos), *evaluate_runs([made.run.name for made in results]))
            results += [compare(run, base, head) for run in runs]
    written = report((base, head), photos, results)
    asked.out.write_text(written, encoding="utf-8") if asked.out else print(written)
    return int(any(result.unexpected() for result in results))


if __name__ == "__main__":
    sys.exit(main())
