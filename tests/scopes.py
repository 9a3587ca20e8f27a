"""The pump as a stage sees it, among machines that may be named and one that may not."""

from kgkit.expand.scope import Options, Scope, names_pattern

SCOPE = Scope(
    asset="pump",
    name="pump",
    category="rotating equipment",
    part=None,
    options=Options(),
    own_pattern=names_pattern(["Pumps"]),
    asset_pattern=names_pattern(["Pumps", "Electric motors", "Valves"]),
    held_out_pattern=names_pattern(["Compressors"]),
)
