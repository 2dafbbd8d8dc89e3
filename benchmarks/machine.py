"""What a measurement depends on: the machine and the versions."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_vpopcntdq", "asimd", "sve")


def machine() -> dict[str, object]:
    """Processor, its vector instructions, cores, last-level cache and memory in bytes."""
    facts = _facts(Path("/proc/cpuinfo"))
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": facts.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "last_level_cache": _last_level_cache(),
        "memory": _kib(_facts(Path("/proc/meminfo")).get("MemTotal")),
    }


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each distribution, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in distributions}


def load() -> float:
    """How many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _facts(path: Path) -> dict[str, str]:
    """The first value of each key in a file of `key : value` lines; empty where there is none."""
    facts: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts


def _last_level_cache() -> int | None:
    sizes = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return _kib(sizes[-1].read_text()) if sizes else None


def _kib(text: str | None) -> int | None:
    return 1024 * int(text.split()[0].rstrip("K\n")) if text else None
