"""What this machine can do for a model server: memory, disk, processor, graphics card."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

GIB = 1024**3
NEEDS_DISK = {"cpu": 6 * GIB, "gpu": 16 * GIB}
NEEDS_MEMORY = 4 * GIB


def has_nvidia_gpu() -> bool:
    """Tell whether an NVIDIA GPU works here (its driver lists one)."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout


def free_disk(place: Path) -> int:
    """Return the bytes that we may still write at ``place`` (or its nearest existing parent)."""
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def free_memory() -> int:
    """Return the bytes of memory that a new process can have, control groups included."""
    frees = [_available(), _left_in_group()]
    return min(free for free in frees if free is not None)


def _available() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_group() -> int | None:
    root = Path("/sys/fs/cgroup")
    for limit, used, cache in (
        (root / "memory.max", root / "memory.current", "inactive_file "),
        (
            root / "memory/memory.limit_in_bytes",
            root / "memory/memory.usage_in_bytes",
            "total_inactive_file ",
        ),
    ):
        try:
            left = int(limit.read_text()) - int(used.read_text())
            lines = limit.with_name("memory.stat").read_text().splitlines()
        except (OSError, ValueError):
            # No such control group, or 'max': no limit.
            continue
        # Files that were read count as used, but give way at once.
        return left + sum(int(line.split()[1]) for line in lines if line.startswith(cache))
    return None


def unfit_for_vllm(kind: str) -> str | None:
    """Return why vLLM's build (``cpu`` or ``gpu``) can never run here, or None if it can."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64", "aarch64", "arm64"):
        return f"there is no vLLM for this processor ({machine})"
    if kind == "cpu" and machine in ("x86_64", "amd64") and "avx2" not in _processor_flags():
        return "vLLM needs a processor with AVX2, and this one has none"
    return None


def too_little_disk(kind: str, place: Path) -> str | None:
    """Return why there is no room to install vLLM, or None if there is."""
    free, needed = free_disk(place), NEEDS_DISK[kind]
    if free >= needed:
        return None
    return (
        f"installing it needs {needed / GIB:.0f} GB of disk at {place} and"
        f" {free / GIB:.1f} GB are free"
    )


def too_little_memory() -> str | None:
    """Return why there is no room for the model server's process, or None if there is."""
    free = free_memory()
    if free >= NEEDS_MEMORY:
        return None
    return f"it needs {NEEDS_MEMORY / GIB:.0f} GB of free memory and {free / GIB:.1f} GB are free"


def cache_gigabytes() -> int:
    """Return how much memory the model server may set aside for what it has read (KV cache)."""
    free = free_memory()
    if free >= 14 * GIB:
        return 4
    return 2 if free >= 7 * GIB else 1


def bfloat16_is_slow() -> bool:
    """Tell whether this processor has to emulate bfloat16 (two to three times slower here)."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not _processor_flags() & {"avx512_bf16", "amx_bf16"}


def _processor_flags() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
