import pytest
from typer.testing import CliRunner

from hub.cli import app


@pytest.mark.parametrize(
    ("address", "shown"), [("::1", "::1:2255"), ("[::1]:1", "::1:1"), ("127.0.0.1:1", "127.0.0.1:1")]
)
def test_a_probe_takes_every_kind_of_address(address: str, shown: str) -> None:
    result = CliRunner().invoke(app, ["probe", address])
    assert f"refused: {shown} refused" in result.output
    assert result.exit_code == 1


def test_a_probe_without_mercy_for_the_meter_is_refused() -> None:
    assert CliRunner().invoke(app, ["probe", "127.0.0.1:1", "--gap", "-1"]).exit_code == 2
