"""What a batch would take: by rule of thumb, by what was measured, and by the servers."""

from decimal import Decimal

import pytest

from generation.estimates import ArmPlan, Measured, Range, Servers, estimate

TEN = Measured(
    dialogues=10,
    turns=300,
    requests=330,
    read=1_000_000,
    written=20_000,
    reply_s=900.0,
    gpu_s=360.0,
    cost=Decimal("0.50"),
)


def _plan(label: str = "A", *, therapist: str = "m", client: str = "m", made: Measured) -> ArmPlan:
    return ArmPlan(label, (therapist, client), Range(30, 66), 1000.0, 50.0, made)


def test_unmeasured_arm_goes_by_the_limits_of_its_protocol() -> None:
    found = estimate([_plan(made=Measured())], 10, {"m": Servers(8, 1)})
    whole = found.whole
    assert (whole.requests, whole.written) == (Range(300, 660), Range(15_000, 33_000))
    # 30 turns: 30 prompts of 1000 tokens, and 0 + 1 + ... + 29 turns of 50 before them.
    assert whole.read == Range(10 * (30_000 + 50 * 435), 10 * (66_000 + 50 * 2145))
    assert (whole.gpu_hours, whole.money, found.seconds) == (None, None, None)
    assert (found.measured, found.unmeasured) == (0, ("A",))


def test_measured_arm_takes_as_much_a_dialogue_as_before() -> None:
    found = estimate([_plan(made=TEN)], 100, {"m": Servers(10, 2)})
    whole = found.whole
    assert whole.requests == Range(3300, 3300)
    assert (whole.read.low, whole.written.low) == (10_000_000, 200_000)
    assert whole.gpu_hours == 1.0
    assert whole.money == Decimal("5.0")
    # 9000 s of replies in 10 places; 3600 s of one GPU on two.
    assert found.seconds == Range(900.0, 1800.0)
    assert found.unmeasured == ()


def test_models_work_side_by_side() -> None:
    servers = {"m": Servers(10, 1), "n": Servers(10, 1)}
    found = estimate([_plan(therapist="m", client="n", made=TEN)], 100, servers)
    assert found.seconds == Range(450.0, 1800.0)
    both = estimate([_plan(made=TEN), _plan("B", therapist="n", client="n", made=TEN)], 50, servers)
    assert both.seconds == Range(450.0, 1800.0)
    assert [label for label, _ in both.arms] == ["A", "B"]
    assert both.whole.dialogues == 100


def test_no_batch_is_faster_than_its_longest_dialogue() -> None:
    assert estimate([_plan(made=TEN)], 1, {"m": Servers(64, 8)}).seconds == Range(90.0, 90.0)


def test_time_is_not_known_without_a_server_or_a_measurement() -> None:
    assert estimate([_plan(made=TEN)], 5, {}).seconds is None
    mixed = estimate([_plan(made=TEN), _plan("B", made=Measured())], 5, {"m": Servers(4, 1)})
    assert (mixed.seconds, mixed.unmeasured, mixed.measured) == (None, ("B",), 10)
    assert mixed.whole.gpu_hours is None


@pytest.mark.parametrize(
    ("unpriced_s", "money", "flagged"),
    [(0.0, Decimal("0.5"), False), (100.0, Decimal("0.5"), True), (360.0, None, True)],
)
def test_money_says_when_a_price_is_missing(
    unpriced_s: float, money: Decimal | None, flagged: bool
) -> None:
    made = Measured(
        **{
            **{name: getattr(TEN, name) for name in Measured.__dataclass_fields__},
            "unpriced_s": unpriced_s,
        }
    )
    whole = estimate([_plan(made=made)], 10, {"m": Servers(4, 1)}).whole
    assert (whole.money, whole.unpriced) == (money, flagged)
