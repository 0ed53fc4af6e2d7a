"""Data sets: from files to tensors, split into train, validation and test, standardised on the training part alone.

sources  the sets that are known by name, and a person's own; described, loaded, split, standardised
npz      a person's own arrays, from an .npz file
"""

from sweep.data.sources import (
    KNOWN,
    Array,
    DataInfo,
    Part,
    Source,
    Split,
    default_data_dir,
    describe,
    is_file,
    load,
)

__all__ = ["KNOWN", "Array", "DataInfo", "Part", "Source", "Split", "default_data_dir", "describe", "is_file", "load"]
