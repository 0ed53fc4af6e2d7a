"""Data sets: from files to tensors, split into train, validation and test, standardised on the training part alone.

sources  the sets that are known by name, and a person's own; described, loaded, split, standardised
classes  how many rows each class has
toys     circles, moons, spirals, gaussians: rows in the plane
target   what is to be predicted: classes, or a number
npz      a person's own arrays, from an .npz file
columns  how a table's columns become numbers
tables   a person's own table: CSV, TSV, Parquet
folders  a person's own images, a folder per class
vision   sets of images that torchvision reads
numbers  a few numbers that are typed, or in a file of another kind
scaling  what scaling does to inputs
rows     rows for a trained network to answer
"""

from sweep.data.classes import MOSTLY, Classes, classes_from_dict, mostly_one
from sweep.data.columns import Columns, columns_from_dict
from sweep.data.rows import Rows, Takes, read_rows
from sweep.data.sources import (
    KNOWN,
    Array,
    DataInfo,
    Part,
    Source,
    Split,
    count_rows,
    describe,
    is_file,
    load,
    statistics,
)
from sweep.data.vision import default_data_dir

__all__ = [
    "KNOWN",
    "MOSTLY",
    "Array",
    "Classes",
    "Columns",
    "DataInfo",
    "Part",
    "Rows",
    "Source",
    "Split",
    "Takes",
    "classes_from_dict",
    "columns_from_dict",
    "count_rows",
    "default_data_dir",
    "describe",
    "is_file",
    "load",
    "mostly_one",
    "read_rows",
    "statistics",
]
