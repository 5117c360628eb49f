"""What goes to a model server and comes back, read and written without a network."""

import contextlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.vllm_errors import (
    WORDS,
    ContextFull,
    ModelServerError,
    Permanent,
    Retryable,
    Unavailable,
    error_for_status,
    parse_retry_after,
)
from generation.vllm_metrics import Metrics, read_metrics
from generation.vllm_wire import (
    Completion,
    Sampling,
    read_completion,
    read_field,
    read_json,
    read_models,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CANARY = "canary-7f3a"


def vllm_error(message: str, kind: str = "BadRequestError", param: str | None = None) -> bytes:
    return json.dumps(
        {"error": {"message": message, "type": kind, "param": param, "code": 400}}
    ).encode()


def answer(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("7.5", 7.5),
        ("120", 120.0),
        ("121", 120.0),
        ("999999999", 120.0),
        ("9" * 30, 120.0),
        ("-1", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("٧", None),
        ("soon", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 13:00:30 +0100", 30.0),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30.0),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30.0),
        ("Mon Nov 23 12:00:30 2026", 30.0),
        ("Mon, 23 Nov 2026 11:59:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:00:00 GMT", 120.0),
        ("Mon, 99 Nov 2026 12:00:00 GMT", None),
        ("Mon, 23 Nov 99999 12:00:00 GMT", None),
    ],
)
def test_parse_retry_after_reads_both_forms(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == seconds


@given(st.text(max_size=40))
def test_parse_retry_after_never_fails(text: str) -> None:
    seconds = parse_retry_after(text, now=NOW)
    assert seconds is None or 0.0 <= seconds <= 120.0


@pytest.mark.parametrize(
    "body",
    [
        vllm_error(
            "This model's maximum context length is 8192 tokens. However, you requested 9000"
            " tokens (8488 in the messages, 512 in the completion). Please reduce the length."
        ),
        vllm_error(
            "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum"
            " context length is 8192 tokens and your request has 8000 input tokens"
        ),
        vllm_error(
            "You passed 9000 input tokens and requested 512 output tokens. However, the model's"
            " context length is only 8192 tokens, resulting in a maximum input length of 7680."
        ),
        vllm_error(
            "This model's maximum context length is 8192 tokens. However, your prompt contains at"
            " least 8193 input tokens, which exceeds this limit even without any output tokens."
        ),
        vllm_error("max_tokens=9000 cannot be greater than max_model_len=8192. Please", param="x"),
        vllm_error("Validation failed.", param="input_tokens"),
        vllm_error("Validation failed.", param="input_text"),
        vllm_error("max_tokens must be at least 1, got -186."),
        vllm_error("The decoder prompt (length 9000) is longer than the maximum model length of"),
        vllm_error("max_output_tokens=9000cannot be greater than max_total_tokens=8192."),
        json.dumps(
            {"object": "error", "message": "This model's maximum context length is 4096 tokens."}
        ).encode(),
    ],
)
def test_error_for_status_knows_vllms_wordings_of_a_full_context(body: bytes) -> None:
    assert type(error_for_status(400, body)) is ContextFull


def test_error_for_status_is_not_fooled_by_a_quoted_prompt() -> None:
    quoted = "x" * 400 + "maximum context length is 8192, the client said"
    error = error_for_status(400, vllm_error(f"Bad message: {quoted}"))
    assert (type(error), error.reason) == (Permanent, "bad_request")


@pytest.mark.parametrize(
    "body",
    [
        vllm_error("The model `x` does not exist.", "NotFoundError", "model"),
        vllm_error("The model `x` does not exist.", "NotFoundError"),
    ],
)
def test_error_for_status_tells_wrong_model_from_wrong_path(body: bytes) -> None:
    assert error_for_status(404, body).reason == "wrong_model"
    assert error_for_status(404, b'{"detail":"Not Found"}').reason == "not_found"


def test_error_for_status_waits_out_a_crashed_engine() -> None:
    body = vllm_error("EngineCore encountered an issue. See stack trace (above).")
    error = error_for_status(500, body)
    assert (type(error), error.reason) == (Unavailable, "engine_dead")


@given(st.integers(100, 599).filter(lambda status: status != 200), st.binary(max_size=200))
def test_error_for_status_never_fails(status: int, body: bytes) -> None:
    error = error_for_status(status, body, retry_after="5")
    assert error.status == status
    assert error.reason in WORDS


@given(st.sampled_from([400, 401, 404, 422, 429, 500, 503]), st.text(max_size=30))
def test_error_for_status_never_passes_the_body_on(status: int, text: str) -> None:
    error = error_for_status(status, vllm_error(f"{text}{CANARY}{text}"))
    assert CANARY not in repr(error) + str(error) + repr(vars(error))


def test_words_are_clauses_for_a_sentence() -> None:
    for reason, words in WORDS.items():
        assert reason.replace("_", "").isalpha()
        assert words[0].islower()
        assert not words.endswith(".")


def test_errors_may_carry_an_unknown_reason() -> None:
    error: ModelServerError = Retryable("new", retry_after=3.0)
    assert str(error) == "new: the model server failed"


# -- replies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"a": 1}',
    ],
)
def test_read_json_refuses_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Retryable) as caught:
        read_json(body)
    assert caught.value.reason == "bad_json"


@pytest.mark.parametrize(
    "body",
    [rb'{"a": "x\u0000"}', rb'["\ud83d"]', rb'{"\udc00": 1}', rb'[[{"a": ["\u0000"]}]]'],
)
def test_read_json_refuses_what_the_database_cannot_store(body: bytes) -> None:
    with pytest.raises(Retryable) as caught:
        read_json(body)
    assert caught.value.reason == "unstorable_text"


def test_read_json_takes_whole_pairs_and_escaped_backslashes() -> None:
    assert read_json(rb'{"a": "\ud83c\udf27 \\u0000"}') == {"a": "🌧 \\u0000"}


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": ["text"]},
        {"choices": [{}]},
        {"choices": [{"message": "text"}]},
        answer(content=5),
        answer(content=["parts"]),
        answer(content={"text": "x"}),
        {"object": "error", "message": CANARY},
    ],
)
def test_read_completion_refuses_other_shapes(payload: Any) -> None:
    with pytest.raises(Retryable) as caught:
        read_completion(payload, latency_s=0.1)
    assert caught.value.reason == "bad_reply"


@pytest.mark.parametrize("message", [{"content": None}, {"content": ""}, {"role": "assistant"}])
def test_read_completion_takes_no_content_as_empty_text(message: dict[str, Any]) -> None:
    payload = {"choices": [{"message": message}]}
    completion = read_completion(payload, latency_s=0.1)
    assert completion == Completion("", "other", 0, 0, None, 0.1, payload)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("abort", "abort"),
        ("repetition", "other"),
        ("", "other"),
        (None, "other"),
        (3, "other"),
        (["stop"], "other"),
    ],
)
def test_read_completion_closes_the_set_of_finish_reasons(reason: Any, expected: str) -> None:
    payload = {"choices": [{"message": {"content": "x"}, "finish_reason": reason}]}
    assert read_completion(payload, latency_s=0.1).finish_reason == expected


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, (0, 0, None)),
        ([], (0, 0, None)),
        ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7, None)),
        ({"prompt_tokens": "5", "completion_tokens": True}, (0, 0, None)),
        ({"prompt_tokens": -5, "completion_tokens": 2**40}, (0, 0, None)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}, (9, 0, 8)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, None)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": None}}, (9, 0, None)),
    ],
)
def test_read_completion_reads_usage_it_can_trust(
    usage: Any, counts: tuple[int, int, int | None]
) -> None:
    completion = read_completion(answer(content="x") | {"usage": usage}, latency_s=0.1)
    assert (
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.cached_tokens,
    ) == counts


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "data", "id"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
)


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_reading_ends_in_a_value_or_a_retryable(body: bytes) -> None:
    try:
        payload = read_json(body)
    except Retryable:
        return
    with contextlib.suppress(Retryable):
        assert isinstance(read_completion(payload, latency_s=0.0), Completion)
    with contextlib.suppress(Retryable):
        assert isinstance(read_models(payload), list)


def test_read_models_leaves_out_what_has_no_id() -> None:
    data = [{"id": "a", "max_model_len": 8}, {"id": ""}, {}, None, {"id": 3}, {"id": "b"}]
    models = [(model.id, model.max_model_len) for model in read_models({"data": data})]
    assert models == [("a", 8), ("b", None)]


@pytest.mark.parametrize("payload", [None, {}, {"count": "3"}, {"count": True}, {"count": None}])
def test_read_field_refuses_another_type(payload: Any) -> None:
    with pytest.raises(Retryable):
        read_field(payload, "count", int)


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"max_tokens": 0},
        {"top_k": -2},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
    ],
)
def test_sampling_refuses_absurd_settings(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=rf"^The sampling setting {name} is out of range\.$"):
        Sampling(**wrong)


def test_sampling_settings_drop_what_is_left_to_the_server() -> None:
    assert Sampling().settings() == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 512}
    full = Sampling(0.0, 0.5, 9, top_k=0, min_p=0.0, repetition_penalty=1.0, seed=0)
    assert full.settings() == asdict(full)


# -- metrics -----------------------------------------------------------------------------------

NEW = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a {odd} \\"name\\""} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 2.0
vllm:num_requests_waiting{engine="0",model_name="a"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="a"} 50.0
vllm:prefix_cache_queries_total{engine="0",model_name="a"} 1.5e+06
vllm:prefix_cache_queries_created{engine="0",model_name="a"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="a"} 1.2e+06 1700000000000
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="a"} 0.75
vllm:prompt_tokens_total{engine="0",model_name="a"} NaN
vllm:generation_tokens_total 12
vllm:request_success_total{engine="0",finished_reason="stop",model_name="a"} 5.0
process_open_fds 40.0
vllm:num_preemptions_total broken line
"""


def test_read_metrics_sums_engines_and_passes_over_the_rest() -> None:
    assert read_metrics(NEW) == Metrics(
        running=5.0,
        waiting=1.0,
        prefix_cache_queries=1_500_000.0,
        prefix_cache_hits=1_200_000.0,
        prompt_tokens=None,
        generation_tokens=12.0,
        preemptions=None,
        kv_cache_usage=0.75,
    )


def test_read_metrics_knows_the_older_names() -> None:
    metrics = read_metrics(
        'vllm:gpu_prefix_cache_queries_total{engine="0"} 200.0\n'
        'vllm:gpu_prefix_cache_hits_total{engine="0"} 50.0\n'
        'vllm:gpu_cache_usage_perc{engine="0"} 0.5\n'
    )
    assert (metrics.hit_share_since(), metrics.kv_cache_usage) == (0.25, 0.5)


def test_hit_share_counts_since_an_earlier_look() -> None:
    earlier = Metrics(prefix_cache_queries=100.0, prefix_cache_hits=10.0)
    later = Metrics(prefix_cache_queries=200.0, prefix_cache_hits=100.0)
    assert later.hit_share_since(earlier) == 0.9
    assert later.hit_share_since(later) is None
    assert Metrics().hit_share_since() is None


@given(st.text())
def test_read_metrics_never_fails(text: str) -> None:
    read_metrics(text)
    read_metrics(f"vllm:num_requests_running {text}")
