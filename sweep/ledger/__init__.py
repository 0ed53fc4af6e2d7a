"""The ledger: one SQLite file per results folder, the only truth about what was trained. Needs sqlite3 and pandas.

schema    the tables
disk      what a results folder's disk can do
locks     locks on files, by the system or by a file that names its owner
file      the file: opened or made, transactions, a study's lock
reading   studies, trials and epochs read
columns   trials by column, each setting and text once
keeping   the columns of a large study, kept in a file of the user's cache
numbers   what a study of a target that is a number has in place of accuracies
store     the ledger: all of that, and writing
copying   trials read from one ledger, written into another
merging   studies of several results folders made one
damage    rows that cannot be read
doctor    what is wrong with a results folder, and mending it
"""

from sweep.ledger.damage import first_line
from sweep.ledger.doctor import Finding, diagnose, mend, place_notes
from sweep.ledger.file import File
from sweep.ledger.merging import Merged, merge
from sweep.ledger.reading import Sitting, Study, mixing
from sweep.ledger.schema import APPLICATION_ID, FILE, FINISHED, PLANNED_EPOCHS, STATES, VERSION
from sweep.ledger.store import Course, Ledger

__all__ = [
    "APPLICATION_ID",
    "FILE",
    "FINISHED",
    "PLANNED_EPOCHS",
    "STATES",
    "VERSION",
    "Course",
    "Finding",
    "Ledger",
    "Merged",
    "Sitting",
    "Study",
    "damage_line",
    "diagnose",
    "mend",
    "merge",
    "mixing",
    "place_notes",
]


def damage_line() -> str:
    """A line about the rows of the ledger opened last that cannot be read; empty where all can."""
    return first_line(File.opened) if File.opened else ""
