"""Recipes by name or file, with the paths that they hold."""

from pathlib import Path

import pytest

from eval.parts import RECIPES, load_recipe
from kg.errors import InputError


def test_a_schema_lies_beside_the_recipe_that_names_it(tmp_path, monkeypatch):
    recipe = tmp_path / "mine" / "shop.toml"
    recipe.parent.mkdir()
    recipe.write_text('schema = "shop_schema.toml"\n')
    monkeypatch.chdir(tmp_path)
    assert Path(load_recipe("mine/shop.toml").schema) == Path("mine/shop_schema.toml")
    elsewhere = tmp_path / "elsewhere.toml"
    recipe.write_text(f'schema = "{elsewhere.as_posix()}"\n')
    assert Path(load_recipe("mine/shop.toml").schema) == elsewhere


def test_a_schema_given_on_the_command_line_lies_where_the_program_runs(tmp_path):
    recipe = tmp_path / "shop.toml"
    recipe.write_text('schema = "shop_schema.toml"\n')
    assert load_recipe(str(recipe), ["schema=here.toml"]).schema == "here.toml"


def test_a_recipe_without_a_schema_stays_so(tmp_path):
    assert load_recipe("demo").schema == "" and (RECIPES / "demo.toml").is_file()
    with pytest.raises(InputError):
        load_recipe(str(tmp_path / "missing"))
