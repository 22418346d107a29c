"""Where a step's time goes: the part of it in which the device computes, and the kernels that take the longest."""

from __future__ import annotations

import collections
import time
from typing import Any

LONGEST = 10


def of(run: Any, device: str, steps: int) -> dict[str, Any]:
    """Return what one pass of so many steps shows; times are microseconds a step."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    run.seconds(device)
    with profile(activities=activities) as seen:
        begin = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        wall = (time.perf_counter() - begin) * 1e6
    if device == "cuda":
        kernels = [
            (event.name, event.time_range.start, event.time_range.end)
            for event in seen.events()
            if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
        ]
        return summed(kernels, wall, steps)
    found = [(event.key, event.count, event.self_cpu_time_total) for event in seen.key_averages()]
    return shown(found, sum(each[2] for each in found), wall, steps)


def summed(kernels: list[tuple[str, float, float]], wall: float, steps: int) -> dict[str, Any]:
    """Return what kernels, with begin and end, say; those that run beside each other count once in the share."""
    counts: collections.Counter[str] = collections.Counter()
    times: collections.Counter[str] = collections.Counter()
    busy, reached = 0.0, float("-inf")
    for name, begin, end in sorted(kernels, key=lambda kernel: kernel[1]):
        counts[name] += 1
        times[name] += end - begin  # type: ignore[assignment]  # microseconds
        busy += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return shown([(name, counts[name], times[name]) for name in counts], busy, wall, steps)


def shown(found: list[tuple[str, int, float]], busy: float, wall: float, steps: int) -> dict[str, Any]:
    """Return shares, and the longest by name."""
    total = sum(each[2] for each in found) or 1.0
    longest = sorted(found, key=lambda each: -each[2])[:LONGEST]
    return {
        "steps": steps,
        "wall_us": round(wall / steps, 1),
        "busy_us": round(busy / steps, 1),
        "busy": round(busy / wall, 3),
        "kernels": round(sum(each[1] for each in found) / steps, 1),
        "longest": [
            {
                "name": name[:120],
                "calls": round(count / steps, 2),
                "us": round(time / steps, 2),
                "share": round(time / total, 3),
            }
            for name, count, time in longest
        ],
    }
