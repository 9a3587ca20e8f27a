"""A small plant for tests of Phase II: a pump, a fan (validation), a steam turbine, and a compressor, which is held out."""

from pathlib import Path

from tests.walk import kgkit, matrix_file

TABLES = {
    "pump.csv": "Failure Mode,vibration,pressure,oil debris\n"
    "damaged impeller,x,x,\nbearing damage,x,,x\nunbalance,x,,\n",
    "fan.csv": "Failure Mode,vibration,speed\nrotor fouled,x,x\nbearing damage,x,\n",
    "steam_turbine.csv": "Failure Mode,vibration,steam leakage\n"
    "damaged labyrinth,,x\nbearing damage,x,\ncompressor fouling,x,\n",
    "compressor.csv": "Failure Mode,vibration,discharge valve position\nvalve fault,x,x\nbearing damage,x,\n",
}
"""One failure mode of the steam turbine names what is held out."""
ASSETS = ("pump", "fan", "steam turbine")
OPEN = tuple(part for asset in ASSETS for part in ("--asset", asset))


def load(work: Path, *names: str, tables: Path) -> Path:
    """A workspace with these tables (all of them if none is named); they are written to `tables`."""
    tables.mkdir(parents=True, exist_ok=True)
    kgkit(
        "load",
        *(matrix_file(tables, TABLES[name], name) for name in names or TABLES),
        workspace=work,
    )
    return work
