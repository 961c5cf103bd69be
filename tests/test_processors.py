import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from drywallqa import processors
from drywallqa.processors import available_threads

V2 = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate"
V1 = "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"
OTHER = "33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "visible_cores", lambda: 64)


def tree(root: Path, groups: str, mounts: str, files: Mapping[str, str]) -> Path:
    """Lay down what Linux tells a process of its control groups."""
    told = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    for name, text in (told | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", "utf-8")
    return root


@pytest.mark.parametrize(
    ("said", "threads"),
    [
        ("max 100000", 64),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("20000 100000", 1),
        ("400000", 4),
        ("9900000 100000", 64),
        ("nonsense", 64),
    ],
)
def test_available_threads__version_2(tmp_path: Path, said: str, threads: int) -> None:
    assert available_threads(tree(tmp_path, "0::/", V2.format(top="/"), {"cpu.max": said})) == threads


def test_available_threads__smallest_of_nested_groups(tmp_path: Path) -> None:
    quotas = {
        "cpu.max": "max 100000",
        "pod/cpu.max": "300000 100000",
        "pod/box/cpu.max": "800000 100000",
        "pod/box/other/cpu.max": "100000 100000",  # not around this process
    }
    root = tree(tmp_path, "0::/pod/box/own", V2.format(top="/"), quotas)
    assert available_threads(root) == 3


def test_available_threads__group_outside_the_mounted_tree(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/../elsewhere", V2.format(top="/"), {"cpu.max": "500000 100000"})
    assert available_threads(root) == 5


@pytest.mark.parametrize(
    ("group", "top", "folder"),
    [
        ("/", "/", ""),
        ("/docker/4f2", "/", "docker/4f2/"),
        ("/docker/4f2/own", "/docker/4f2", "own/"),  # a container that sees the host's names
        ("/docker/4f2", "/docker/4f2", ""),
    ],
)
def test_available_threads__version_1(tmp_path: Path, group: str, top: str, folder: str) -> None:
    place = f"cpu,cpuacct/{folder}"
    quotas = {f"{place}cpu.cfs_quota_us": "250000", f"{place}cpu.cfs_period_us": "50000"}
    groups = f"9:memory:/elsewhere\n4:cpu,cpuacct:{group}\n0::/unified"
    root = tree(tmp_path, groups, f"{OTHER}\n{V1.format(top=top)}", quotas)
    assert available_threads(root) == 5


def test_available_threads__version_1_without_a_quota(tmp_path: Path) -> None:
    quotas = {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    assert available_threads(tree(tmp_path, "4:cpu,cpuacct:/", V1.format(top="/"), quotas)) == 64


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "200000 100000"},
        {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
        {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
    ],
)
def test_available_threads__usual_places_where_nothing_tells_of_mounts(
    tmp_path: Path, files: Mapping[str, str]
) -> None:
    assert available_threads(tree(tmp_path, "", "", files)) == 2
    groups = "0::/" if "cpu.max" in files else "2:cpu,cpuacct:/docker/4f2"
    assert available_threads(tree(tmp_path, groups, "", files)) == 2


def test_available_threads__affinity_below_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "visible_cores", lambda: 2)
    root = tree(tmp_path, "0::/", V2.format(top="/"), {"cpu.max": "800000 100000"})
    assert available_threads(root) == 2


def test_available_threads__no_control_groups(tmp_path: Path) -> None:
    assert available_threads(tmp_path) == 64


def test_tell_libraries__only_where_a_quota_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors, "_quota", lambda root: float("inf"))
    processors.limit_library_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(processors, "_quota", lambda root: 2.0)
    processors.limit_library_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    processors.limit_library_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_sources__count_cores_in_one_place() -> None:
    source = Path(processors.__file__).parent
    own = {"processors.py"}
    counting = ("os.cpu_count", "sched_getaffinity", "process_cpu_count", "multiprocessing.cpu_count")
    found = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if path.name not in own and any(word in path.read_text("utf-8") for word in counting)
    ]
    assert not found, "use processors.available_threads, which knows of quotas"


def test_main__quota_reaches_libraries(tmp_path: Path) -> None:
    bend = (
        "import os, sys; from drywallqa import cli, processors; processors.visible_cores = lambda: 64; "
        "processors._quota = lambda root: 3.0; cli.main(['--version']); print(os.environ['OMP_NUM_THREADS'])"
    )
    known = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    told = subprocess.run([sys.executable, "-c", bend], capture_output=True, text=True, env=known, check=True)
    assert told.stdout.split()[-1] == "3"
