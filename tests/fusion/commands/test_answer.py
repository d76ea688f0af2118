"""python -m fusion answer."""

from fusion.__main__ import main


def test_answers_can_be_one_of_each_category(run_folder, capsys):
    assert (
        main(
            [
                "answer",
                "--run",
                str(run_folder),
                "--items",
                "i000",
                "--one-per",
                "colour",
            ]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 2
    assert (
        told.split()[:3] == ["id", "title", "score"] and "%" not in told
    )  # its vector's share is no reason


def test_unknown_users_and_items_are_named_above_the_answer(run_folder, capsys):
    assert (
        main(
            [
                "answer",
                "--run",
                str(run_folder),
                "--user",
                "424242",
                "--items",
                "none",
                "-k",
                "2",
            ]
        )
        == 0
    )
    user, items, nobody, head, *rows = capsys.readouterr().out.splitlines()
    assert user.startswith("There is no user 424242 in the graph") and items.endswith(
        "passed over: none."
    )
    assert (
        "what is popular" in nobody
        and head.split() == ["id", "title", "score"]
        and len(rows) == 2
    )
    assert main(["answer", "--run", str(run_folder), "--user", "u003", "-k", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert (
        main(
            [
                "build",
                "--run",
                str(run_folder),
                "--user",
                "424242",
                "--slots",
                "black",
            ]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert (
        told.startswith("There is no user 424242 in the graph")
        and "popular" not in told
    )


def test_exclude_seen_leaves_out_the_users_items(run_folder, capsys, trained):
    row = trained.recommender.snapshot.graph.vocabs["user"].row("u003")
    taken = {
        trained.recommender.items.key(item)
        for item in trained.recommender.counts.interacted(row).tolist()
    }
    assert (
        main(
            [
                "answer",
                "--run",
                str(run_folder),
                "--user",
                "u003",
                "-k",
                "42",
                "--exclude-seen",
            ]
        )
        == 0
    )
    shown = {line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert taken and not taken & shown and len(shown) == 42 - len(taken)
    assert (
        main(
            [
                "build",
                "--run",
                str(run_folder),
                "--user",
                "u003",
                "--size",
                "3",
                "--exclude-seen",
            ]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "i0" in told and not any(item in told for item in taken)
