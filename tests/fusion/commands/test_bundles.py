"""python -m fusion bundles."""

from fusion.__main__ import main


def test_bundles_of_a_file_are_ranked_or_refused(run_folder, capsys, tmp_path):
    file = tmp_path / "bundles.json"
    file.write_text(
        '{"one": ["i000", "i002"], "other": ["i001", "i003", "i005", "i007"]}'
    )
    command = [
        "bundles",
        "--run",
        str(run_folder),
        "--text",
        "black",
        "--file",
        str(file),
    ]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "one" in told and "and 1 more" in told
    for wrong in ("[]", '{"one": "i000"}', "no"):
        file.write_text(wrong)
        assert main(command) == 2 and capsys.readouterr().err.count("\n") == 1
