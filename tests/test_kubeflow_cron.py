import datetime

import pytest

from events.errors import KubeflowError
from kubeflow.cron import check


@pytest.mark.parametrize(
    "expression",
    [
        *("0 0 3 * * *", "0 */15 * ? * MON-FRI", "59 59 23 31 12 6", "0 0 0,12 1-7/2 jan,JUL ?", "*/10 * * * * *"),
        *("@daily", "@every 1h", "@every 1h30m", "@every 90s"),
        *("0 0 0 31 2 mon", "0 0 0 */31 2 mon", "0 0 0 28-31 2 *"),
    ],
)
def test_expression_that_the_scheduler_knows_is_taken(expression):
    assert check(f" {expression.replace(' ', '  ')} ") == expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 3 * * *", "A schedule has 6 fields: seconds, minutes, hours, day of the month, month, day of the week."),
        ("", "Received: 0 in ''"),
        ("60 0 3 * * *", "The seconds of a schedule go from 0 to 59. Received: '60'"),
        ("0 0 24 * * *", "The hours of a schedule go from 0 to 23. Received: '24'"),
        ("0 0 3 0 * *", "The day of the month of a schedule go from 1 to 31. Received: '0'"),
        ("0 0 3 * 13 *", "The month of a schedule go from 1 to 12. Received: '13'"),
        ("0 0 3 * * 7", "The day of the week of a schedule go from 0 to 6. Received: '7'"),
        ("0 0 3 * * sat-mon", "Received: 'sat-mon'"),
        ("0 0 */0 * * *", "Received: '*/0'"),
        ("0 0 3, * * *", "Received: '3,'"),
        ("0 0 3 * * noon", "Received: 'noon'"),
        ("0 0 ٣ * * *", "Received: '٣'"),
        ("0 0 */٣ * * *", "Received: '*/٣'"),
        ("@nightly", "@every and a duration. Received: '@nightly'. Write for example @every 1h30m."),
        ("@every 0h", "Received: '@every 0h'"),
        ("@every", "Received: '@every'"),
        ("@every 1d", "Received: '@every 1d'"),
        ("@every ٣h", "Received: '@every ٣h'"),
        ("0 0 0 30 2 *", "a date that comes within 5 years. Received: '0 0 0 30 2 *'. Correct day and month."),
        ("0 0 0 31 4,jun,9,11 ?", "Received: '0 0 0 31 4,jun,9,11 ?'"),
        ("0 0 0 31 2 */2", "Received: '0 0 0 31 2 */2'"),  # steps of any day, too, must be met as well
    ],
)
def test_anything_else_is_refused_in_one_line(expression, message):
    with pytest.raises(KubeflowError) as caught:
        check(expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "comes"), [("0 0 0 29 2 *", True), ("0 0 0 29 2 1/6", True), ("0 0 0 29 2 */6", False)]
)
def test_leap_day_is_looked_for_five_years_ahead(expression, comes):
    today = datetime.date(2026, 11, 25)  # 29 February 2028 is a Tuesday, the next is in 2032
    if comes:
        assert check(expression, today) == expression
    else:
        with pytest.raises(KubeflowError, match="a date that comes"):
            check(expression, today)
