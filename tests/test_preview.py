from pathlib import Path

from tests.walk import kgkit


def test_a_preview_of_an_expanded_asset_leaves_what_rebuilding_makes(starter: Path) -> None:
    kgkit("expand", "--asset", "fan", "--max-calls", "5", workspace=starter, code=5)
    shown = kgkit("expand", "--asset", "fan", "--preview", "500", "--json", workspace=starter).json
    assert len(shown["preview"]) > 5
    assert kgkit("rebuild", "--json", workspace=starter).json["equal"] is True
