"""The ledger: one SQLite file per results folder, the only truth about what was trained. Needs sqlite3 and pandas.

schema  the tables
store   reading and writing them; a study's lock
doctor  what is wrong with a results folder, and mending it
"""

from sweep.ledger.doctor import Finding, diagnose, mend
from sweep.ledger.schema import APPLICATION_ID, FILE, FINISHED, PLANNED_EPOCHS, STATES, VERSION
from sweep.ledger.store import Ledger, Study, machine, versions

__all__ = [
    "APPLICATION_ID",
    "FILE",
    "FINISHED",
    "PLANNED_EPOCHS",
    "STATES",
    "VERSION",
    "Finding",
    "Ledger",
    "Study",
    "diagnose",
    "machine",
    "mend",
    "versions",
]
