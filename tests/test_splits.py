import pytest

from kgkit.errors import UsageError
from kgkit.splits import read_split


@pytest.mark.parametrize(
    ("asset", "side"),
    [
        ("Compressors", "held_out"),
        ("subsea compressor", "held_out"),
        ("electric generator", "held_out"),
        ("Blowers and fans", "dev"),
        ("fan", "dev"),
        ("Compressor K-101", "held_out"),
        ("compressor-b", "held_out"),
        ("Fan 2A", "dev"),
        ("K-101", "train"),
        ("Pumps", "train"),
        ("no such thing", "train"),
    ],
)
def test_the_default_split_holds_out_whole_families(asset: str, side: str) -> None:
    assert read_split("default").side(asset) == side


def test_alia_holds_out_every_asset_of_the_sensor_matrices() -> None:
    from kgkit import content

    split = read_split("alia")
    assets = [
        path.stem.replace("_", " ")
        for path in content.path("corpora", "sources", "iso17359").glob("*.csv")
    ]
    assert len(assets) == 10
    assert {split.side(asset) for asset in assets} == {"held_out"}


def test_a_held_out_asset_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        UsageError,
        match=r"compressor is held out: family compressors of split default.*--split none.*content copy DIR.*KGKIT_CONTENT=DIR",
    ):
        read_split("default").require_open("compressor")


def test_an_unknown_split_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="alia, default, none"):
        read_split("defualt")
