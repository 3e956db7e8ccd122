import pytest

from kubeflow.cron import check
from kubeflow.errors import KubeflowError


@pytest.mark.parametrize(
    "expression",
    ["0 0 3 * * *", "0 */15 * ? * MON-FRI", "59 59 23 31 12 6", "0 0 0,12 1-7/2 jan,JUL ?", "*/10 * * * * *"],
)
def test_expression_of_six_fields_is_taken(expression):
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
    ],
)
def test_anything_else_is_refused_in_one_line(expression, message):
    with pytest.raises(KubeflowError) as caught:
        check(expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
