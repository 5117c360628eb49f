"""What a vLLM server counts about itself, from its Prometheus text (pure)."""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metrics:
    """What vLLM counts about itself, summed over its engines; None where it does not say.

    Prefix cache counts are in tokens since the server started; `kv_cache_usage` is the fullest
    engine's share, 0 to 1.
    """

    running: float | None = None
    waiting: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None
    kv_cache_usage: float | None = None

    def hit_share_since(self, earlier: "Metrics | None" = None) -> float | None:
        """Share of prompt tokens served from the prefix cache, 0 to 1, since `earlier`."""
        queries, hits = self.prefix_cache_queries, self.prefix_cache_hits
        if queries is None or hits is None:
            return None
        if earlier is not None:
            queries -= earlier.prefix_cache_queries or 0.0
            hits -= earlier.prefix_cache_hits or 0.0
        return hits / queries if queries > 0 else None


_SAMPLE = re.compile(r"(vllm:[a-z_:]+)(?:\{.*\})?[ \t]+([0-9.eE+-]+|NaN|[+-]Inf)(?:[ \t]+-?\d+)?")
# The second name of each is what vLLM before 0.10 called it.
_METRIC_NAMES: dict[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "prefix_cache_queries": (
        "vllm:prefix_cache_queries_total",
        "vllm:gpu_prefix_cache_queries_total",
    ),
    "prefix_cache_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    "preemptions": ("vllm:num_preemptions_total",),
    "kv_cache_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
}


def read_metrics(text: str) -> Metrics:
    """Metrics from Prometheus text (format 0.0.4); lines that cannot be read are passed over."""
    samples: dict[str, list[float]] = {}
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line.strip()) if line.startswith("vllm:") else None
        number = _finite(match[2]) if match else None
        if match and number is not None:
            samples.setdefault(match[1], []).append(number)
    found: dict[str, float | None] = {}
    for field, names in _METRIC_NAMES.items():
        values = next((samples[name] for name in names if name in samples), None)
        combine = max if field == "kv_cache_usage" else math.fsum
        found[field] = combine(values) if values else None
    return Metrics(**found)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
