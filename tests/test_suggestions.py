"""Hints for what was not found."""

from __future__ import annotations

from pathlib import Path

from edgeinspect.suggestions import suggest, suggest_path


def test_the_near_name_is_suggested_or_all_are_listed() -> None:
    assert suggest("widht", ["depth", "width"]) == "did you mean width?"
    assert suggest("colour", ["width", "depth", "width"]) == "there are depth, width"
    assert suggest("colour", []) == "there are none"


def test_a_path_is_suggested_beside_the_missing_one(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "goods.txt").touch()
    assert suggest_path(tmp_path / "god") == f"did you mean {tmp_path / 'good'}?"
    assert suggest_path(tmp_path / "goods", keep=Path.is_file).endswith("goods.txt?")
    assert suggest_path(tmp_path / "bad" / "good", otherwise="look up") == "look up"
