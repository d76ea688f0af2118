"""python -m fusion build."""

from fusion.__main__ import main


def test_build_prints_slots_a_weakest_item_and_the_score(run_folder, capsys):
    command = [
        "build",
        "--run",
        str(run_folder),
        "--text",
        "a lamp",
        "--slots",
        "2 black",
        "white",
        "--items",
        "i001",
    ]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "black: has_colour black" in told and told.count("weakest") == 3
    assert "1. 3 items, price not known, score -" in told and "context" in told


def test_bad_input_is_one_line_and_exit_code_2(run_folder, capsys):
    for flags, fault in (
        (["--slots", "purple"], "slot 'purple': there is no"),
        (["--budget", "-3"], "budget: -3.0 is no amount of money"),
        (["--budget", "3"], "no property or relation 'price'"),
        (["--size", "many"], "--size 'many' is no number or range"),
        (
            ["--size", "2", "--slots", "2 black", "white"],
            "the slots want at least 3 items",
        ),
        (["--items", *map(str, range(10_000))], "10000 items at hand are too many"),
        (
            ["--slots", "black", "black"],
            "two slots are called 'black'; give one a count",
        ),
        (["--within", "colour=red"], "no item has colour 'red'"),
        (
            ["--without", "colour=black", "--slots", "black"],
            "no combination meets no colour black and slot 'black'",
        ),
    ):
        assert main(["build", "--run", str(run_folder), *flags]) == 2, flags
        told = capsys.readouterr()
        assert told.err.count("\n") == 1 and fault in told.err, told.err
        assert not told.out
