"""The command line: the demo reaches what it says, the doctor tells, errors are one message."""

import os

import pytest

from aeframe.__main__ import main


@pytest.mark.slow
def test_the_demo_reaches_its_goals(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    shown = "digits optimize() AutoML wider airline Periodic schools kidney 0.8325 0.7789 +0.0537"
    for text in shown.split():
        assert text in table
    assert "not reached" not in table
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("airline.png", "automl.png", "digits-c.png", "digits-jax.png", "eight_schools.png"),
        *("kidney_stones.png", "network.png"),
    ]
    assert all(p.stat().st_size > 10_000 for p in tmp_path.iterdir())


def test_the_doctor_names_backends_and_versions(capsys):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "jax" in told and "aesara" in told and "BLAS" in told


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file")]) == 1
    assert "cannot write pictures" in capsys.readouterr().err


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["dmeo"])
    assert os.linesep.join(["usage"]) in capsys.readouterr().err
