"""python -m fusion compatibility."""

from fusion.__main__ import main


def test_compatibility_names_the_swap_or_says_that_there_is_none(run_folder, capsys):
    assert (
        main(
            [
                "compatibility",
                "--run",
                str(run_folder),
                "--items",
                "i000",
                "i007",
                "i012",
                "--any",
            ]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "weakest" in told and ("in place of" in told or "no single swap" in told)
