"""The ledger's tables, schema version 6; `results/README.md` describes them for readers.

studies  one row per study: recipe as JSON, versions and machine it was started on, when, trials in all
trials   one row per trial, keyed by study and number: setting as JSON, seed, state, reason, epochs done, last and
         best metrics, test metrics (shown of the selected trial only), seconds
sittings one row for each time that a process trained a study: when, and the versions and machine it had
epochs   one row per epoch of a trial: losses, accuracies, gradient norm, seconds
readings one row per number that was asked for beside those: of a layer, within an epoch, on a further test set
outputs  one row per trial of a user's own function or command that printed something; of an imported trial, what its
         tool calls it

Losses are means over rows, accuracies are in [0, 1], times are seconds, moments are ISO 8601 in UTC. A number that
was not finite is NULL, with the state saying why.
"""

from __future__ import annotations

FILE = "sweep.db"
APPLICATION_ID = 0x53574550  # "SWEP"
VERSION = 6
STATES = ("waiting", "running", "complete", "pruned", "diverged", "failed")
FINISHED = ("complete", "pruned", "diverged")
PLANNED_EPOCHS = "max_epochs"
"""The column of the hyperparameter `epochs` in tables of trials, where `epochs` are those trained."""
EPOCH_METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")

MEASURES = ["best_val_loss", "best_val_accuracy", "test_loss", "test_accuracy", "seconds"]
TRIAL_COLUMNS = ["number", "setting", "seed", "state", "reason", "traceback", "epochs", *EPOCH_METRICS, *MEASURES]

SITTINGS = """CREATE TABLE sittings (
    study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,           -- from 1, in the study
    started TEXT NOT NULL,
    facts TEXT NOT NULL,               -- JSON: versions, host, system, processor, cores, instructions, threads, device
    PRIMARY KEY (study, number)
) WITHOUT ROWID"""

READINGS = """CREATE TABLE readings (
    study INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    epoch INTEGER NOT NULL,            -- the one it was recorded with
    step INTEGER NOT NULL,             -- training steps made before it, in all
    place TEXT NOT NULL,               -- what was looked at: a layer, a test set; empty for the whole
    quantity TEXT NOT NULL,            -- what was measured there
    value REAL,
    PRIMARY KEY (study, trial, epoch, step, place, quantity),
    FOREIGN KEY (study, trial) REFERENCES trials(study, number) ON DELETE CASCADE
) WITHOUT ROWID"""

OUTPUTS = """CREATE TABLE outputs (
    study INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    text TEXT NOT NULL,                -- what it printed: of much, the beginning and the end
    PRIMARY KEY (study, trial),
    FOREIGN KEY (study, trial) REFERENCES trials(study, number) ON DELETE CASCADE
) WITHOUT ROWID"""

SCHEMA = f"""
CREATE TABLE studies (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    recipe TEXT NOT NULL,              -- JSON: data, split_seed, seeds, metric, direction, space
    trials INTEGER NOT NULL,           -- trials in all, made or not yet
    created TEXT NOT NULL,
    data TEXT,                         -- fingerprint of the data, once they were loaded
    classes TEXT,                      -- JSON: rows of each class in every part, the first training row of each
    finished TEXT,                     -- when the last trial ended; NULL while any is left
    seconds REAL NOT NULL DEFAULT 0,   -- wall-clock time of all runs of the study
    versions TEXT NOT NULL,            -- JSON: sweep, python, torch, numpy
    machine TEXT NOT NULL              -- JSON: host, system, processor, cores
);
CREATE TABLE trials (
    study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,           -- from 0, in the grid's order
    setting TEXT NOT NULL,             -- JSON: every active hyperparameter but the seed
    seed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({", ".join(repr(state) for state in STATES)})),
    reason TEXT,                       -- why it diverged or failed
    traceback TEXT,                    -- of an error in the code
    epochs INTEGER NOT NULL DEFAULT 0, -- epochs trained
    train_loss REAL, train_accuracy REAL, val_loss REAL, val_accuracy REAL, -- of the last epoch
    best_val_loss REAL, best_val_accuracy REAL,                             -- over the epochs
    test_loss REAL, test_accuracy REAL,                                     -- after the last epoch
    seconds REAL,                      -- its share of its program's time
    sitting INTEGER,                   -- the one that trained it (or finished it, from a checkpoint); see sittings
    PRIMARY KEY (study, number),
    UNIQUE (study, setting, seed)      -- a setting and seed are trained once
) WITHOUT ROWID;
{SITTINGS};
CREATE TABLE epochs (
    study INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    epoch INTEGER NOT NULL,            -- from 1
    train_loss REAL, train_accuracy REAL, val_loss REAL, val_accuracy REAL,
    grad_norm REAL,                    -- mean L2 norm of the gradient over every tenth step
    seconds REAL,
    readings INTEGER,                  -- how many were recorded with it; NULL where nobody counted
    PRIMARY KEY (study, trial, epoch),
    FOREIGN KEY (study, trial) REFERENCES trials(study, number) ON DELETE CASCADE
) WITHOUT ROWID;
{READINGS};
{OUTPUTS};
"""

UPGRADE = {
    1: (
        SITTINGS,
        "ALTER TABLE trials ADD COLUMN sitting INTEGER",
        # Version 1 knew the versions and the machine that a study was started on, and of the processor its architecture
        # alone.
        "INSERT INTO sittings SELECT id, 1, created, json_remove(json_patch(versions, machine), '$.processor') "
        "FROM studies "
        "WHERE versions != '{}'",
        "UPDATE trials SET sitting = 1 WHERE epochs > 0 AND study IN (SELECT study FROM sittings)",
    ),
    2: ("ALTER TABLE studies ADD COLUMN classes TEXT",),
    3: (READINGS,),
    4: ("ALTER TABLE epochs ADD COLUMN readings INTEGER",),
    5: (OUTPUTS,),
}
"""What brings a ledger of each version to the next."""
