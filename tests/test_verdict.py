"""Thresholds, decided by TFMA's validator on numbers, and the verdict's words; test_gate.py has models instead."""

import math

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.utils import update_eval_config_with_defaults

from components.champion import with_champion
from components.event_metrics import (
    BCE,
    CHAMPION,
    CHAMPION_METRICS,
    METRICS,
    NO_SKILL,
    OVER_CHAMPION,
    OVER_CHAMPION_LOWER,
    OVER_CHAMPION_UPPER,
    PAIRED_METRICS,
    PAIRED_UPPER,
)
from components.verdict import LOWER, UPPER, Limits, Verdict, explain
from pipeline.gate import SLICES, eval_config
from serving.served import Version

HARMLESS = {BCE: -0.1, PAIRED_UPPER: -0.05, NO_SKILL: -0.1, OVER_CHAMPION: -0.1}


def is_blessed(gate, values, max_regression=None, of_slice=(), of_champion=None) -> bool:
    """What TFMA's validator decides.

    Args:
      gate: minimal improvement and confidence.
      values: by metric, where they are not HARMLESS; those of BCE and PAIRED_UPPER are candidate minus baseline.
      max_regression: against a champion; None for none.
      of_slice: the slice that they are measured on, in place of all rows.
      of_champion: values of the champion's own metrics.
    """
    config = update_eval_config_with_defaults(eval_config(*gate), has_baseline=True)
    own = {(name, "candidate", False): -0.1 for name in METRICS}
    differences = {(name, "candidate", True): -0.1 for name in (BCE, *PAIRED_METRICS)}
    if max_regression is not None:
        config = with_champion(config, max_regression)
        own |= {(name, "candidate", False): -0.1 for name in CHAMPION_METRICS}
        own |= {(name, CHAMPION, False): (of_champion or {}).get(name, -0.1) for name in METRICS}
    measured = own | differences
    for name, value in (HARMLESS | values).items():
        key = name, "candidate", name in (BCE, PAIRED_UPPER)
        if key in measured:
            measured[key] = value
    overall = {
        tfma.metrics.MetricKey(name, model_name=model, is_diff=is_diff): value
        for (name, model, is_diff), value in measured.items()
    }
    return validate_metrics((of_slice, overall), config).validation_ok


ANY_GATE, SURE_GATE = (0.0, 0.0), (0.0, 0.95)


@pytest.mark.parametrize(("difference", "blessed"), [(-1e-9, True), (0.0, False), (1e-9, False), (math.nan, False)])
def test_any_improvement_blesses_and_a_tie_is_none(difference, blessed):
    assert is_blessed(ANY_GATE, {BCE: difference}) == blessed


@pytest.mark.parametrize(("difference", "blessed"), [(-0.0101, True), (-0.0099, False), (-1e-9, False)])
def test_improvement_reaches_the_margin(difference, blessed):
    assert is_blessed((0.01, 0.0), {BCE: difference}) == blessed


@pytest.mark.parametrize("gate", [SURE_GATE, (0.0, 0.5), (0.0, 0.99)])
@pytest.mark.parametrize(
    ("metric", "value", "blessed"),
    [
        (PAIRED_UPPER, -1e-9, True),
        (PAIRED_UPPER, 0.0, False),
        (PAIRED_UPPER, 1e-6, False),
        (PAIRED_UPPER, math.nan, False),
        (NO_SKILL, -1e-9, True),
        (NO_SKILL, 0.0, False),
        (NO_SKILL, 1e-6, False),
        (NO_SKILL, math.nan, False),
    ],
)
def test_confidence_bounds_the_upper_end_of_each_interval_by_0(gate, metric, value, blessed):
    assert is_blessed(gate, {metric: value}) == blessed
    assert is_blessed(ANY_GATE, {metric: value})


@pytest.mark.parametrize(("upper", "blessed"), [(-0.0101, True), (-0.0099, False), (-1e-9, False)])
def test_confidence_bounds_the_interval_by_the_margin(upper, blessed):
    assert is_blessed((0.01, 0.95), {PAIRED_UPPER: upper}) == blessed
    # The margin is one to the baseline, not to the best constant.
    assert is_blessed((0.01, 0.95), {NO_SKILL: -1e-6})


@pytest.mark.parametrize(
    ("allowed", "over", "blessed"),
    [(0.0, 0.0, True), (0.0, 1e-9, False), (0.0, math.nan, False), (0.01, 0.0099, True), (0.01, 0.0101, False)],
)
def test_candidate_is_not_worse_than_the_champion_by_more_than_is_allowed(allowed, over, blessed):
    assert is_blessed(ANY_GATE, {OVER_CHAMPION: over}, max_regression=allowed) == blessed
    assert is_blessed(ANY_GATE, {OVER_CHAMPION: 9.0})  # without a champion nothing is compared with one


def test_thresholds_are_for_the_candidate_and_for_all_rows_together():
    worse = dict.fromkeys((BCE, PAIRED_UPPER, NO_SKILL, OVER_CHAMPION), 0.1)
    assert not is_blessed(SURE_GATE, worse, max_regression=0.0)
    for name in SLICES:
        assert is_blessed(SURE_GATE, worse, max_regression=0.0, of_slice=((name, 1),))
    assert is_blessed(SURE_GATE, {}, max_regression=0.0, of_champion=dict.fromkeys(METRICS, 9.0))


@pytest.mark.parametrize("gate", [(0.0, 0.0), (0.01, 0.0), (0.0, 0.9), (0.002, 0.99)])
def test_evaluation_says_what_the_gate_asked(gate):
    config = eval_config(*gate)
    assert Limits.of(config) == Limits(*gate, 0.0)
    assert Limits.of(with_champion(config, 0.03)) == Limits(*gate, 0.03)


def metrics(bce: float, upper: float = -0.001, no_skill: float = -0.1, champion: float = 0.0) -> dict[str, float]:
    over = {OVER_CHAMPION: champion, OVER_CHAMPION_LOWER: champion - 0.01, OVER_CHAMPION_UPPER: champion + 0.01}
    return {BCE: bce, LOWER: -0.2, UPPER: upper, NO_SKILL: no_skill, **over}


ANY, SURE = Limits(0.0, 0.0), Limits(0.0, 0.95)


@pytest.mark.parametrize(
    ("failed", "candidate", "baseline", "limits", "words"),
    [
        (
            (),
            metrics(0.5),
            0.6,
            ANY,
            "better than the baseline by 0.1000 nats, where any improvement is required.",
        ),
        ((), metrics(0.5), 0.50005, ANY, "better than the baseline by 5.0e-05 nats, where"),
        (
            (),
            metrics(0.5, 0.01),
            0.6,
            ANY,
            "by 0.1000 nats, which is within the noise: the 95% interval holds 0",
        ),
        ((BCE,), metrics(0.5), 0.5, ANY, "a tie with the baseline is no improvement"),
        ((BCE,), metrics(0.6), 0.5, ANY, "worse than the baseline by 0.1000 nats"),
        ((BCE,), metrics(0.5), 0.501, Limits(0.01, 0), "by 0.0010 nats only, where at least 0.01 is required"),
        ((BCE,), metrics(math.nan), 0.5, ANY, "a binary crossentropy is not a number, so nothing shows"),
        ((PAIRED_UPPER,), metrics(0.5, -0.001), 0.52, Limits(0.01, 0.95), "0.0200 nats, but not surely by 0.01"),
        (("binary_crossentropy_upper",), metrics(0.5, 0.001), 0.501, SURE, "0.0010 nats, but within the noise"),
        ((NO_SKILL,), metrics(0.5, -0.001, 0.02), 0.6, SURE, "not better than a constant"),
    ],
)
def test_verdict_gives_the_reason(failed, candidate, baseline, limits, words):
    verdict = explain(not failed, set(failed), {"candidate": candidate, "baseline": {BCE: baseline}}, limits)
    assert words in verdict.reason
    assert verdict.reason.endswith(".")
    assert verdict.difference == pytest.approx(candidate[BCE] - baseline, nan_ok=True)
    assert verdict.confidence == 0.95
    assert str(Verdict.from_json(verdict.to_json())) == str(verdict)  # NaN and all
    assert "NaN" not in verdict.to_json()


@pytest.mark.parametrize(
    ("interval", "within_noise"),
    [((-0.2, -1e-9), False), ((-0.2, 0.0), True), ((-0.2, 0.1), True), ((0.0, 0.1), True), ((1e-9, 0.1), False)],
)
def test_interval_that_holds_0_is_within_the_noise(interval, within_noise):
    candidate = metrics(0.5) | {LOWER: interval[0], UPPER: interval[1]}
    verdict = explain(True, set(), {"candidate": candidate, "baseline": {BCE: 0.6}}, Limits(0.0, 0.9))
    assert (verdict.within_noise, verdict.interval, verdict.confidence) == (within_noise, interval, 0.9)


@pytest.mark.parametrize(
    ("over", "limits", "words"),
    [
        (
            0.0175,
            ANY,
            "; worse than version 7, which is served, by 0.0175 nats, where no regression is allowed.",
        ),
        (
            0.01,
            Limits(0, 0, 0.02),
            "; worse than version 7, which is served, by 0.0100 nats, where at most 0.02 is allowed.",
        ),
        (-0.01, ANY, "; better than version 7, which is served, by 0.0100 nats."),
        (0.0, ANY, "; as good as version 7, which is served."),
    ],
)
def test_verdict_compares_with_what_is_served(over, limits, words):
    measured = {"candidate": metrics(0.5, champion=over), "baseline": {BCE: 0.6}, "champion": {BCE: 0.5 - over}}
    verdict = explain(over <= limits.max_regression, set(), measured, limits, Version(7, "/served/7", "abc"), True)
    assert verdict.reason.endswith(words)
    assert verdict.champion.interval == (over - 0.01, over + 0.01)
    assert verdict.champion.may_know_eval
    assert (verdict.champion.bce, verdict.champion.difference) == (0.5 - over, over)
    assert Verdict.from_json(verdict.to_json()) == verdict
