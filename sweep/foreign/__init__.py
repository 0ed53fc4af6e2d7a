"""Other tools' results: a module per tool, its files in, one common form of trials out (`trials.py`)."""
