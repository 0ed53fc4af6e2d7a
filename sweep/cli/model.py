"""Commands that take a model away: model, predict, ensemble. Needs typer."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sweep.cli.base import app, asked_table, say
from sweep.flags import Asked, Json, MovedData, StudyName, group_flags

DataDir = Annotated[
    str | None, typer.Option("--data-dir", metavar="DIR", help="Folder of the data set's files, if it is a named one.")
]


@app.command(rich_help_panel="Take away")
@group_flags
def model(
    *,
    study: StudyName,
    trial: Annotated[
        int | None,
        typer.Argument(
            metavar="TRIAL",
            min=0,
            help="The trial's number; by default the best seed of the best setting, on validation.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="File ending in .safetensors, .onnx or .pt2."),
    ],
    refit: Annotated[
        bool,
        typer.Option(
            "--refit", help="Train on training and validation rows together, in the same way; no score is known for it."
        ),
    ] = False,
    data: MovedData = None,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Write a trial's network to a file, with all that is needed to use it: raw rows in, probabilities out.

    It is trained again, or read from a checkpoint that was kept; what is not the network of its row, to the bit, is
    not written. For example: sweep model bn -o best.safetensors
    """
    from sweep import models
    from sweep import study as studies
    from sweep.analysis.ensembles import best_trials
    from sweep.ledger import Ledger
    from sweep.report.files import check_target, write
    from sweep.report.models import model_report

    path = check_target(output, models.SUFFIXES)
    models.check_can_write(output)
    with Ledger(asked.results) as ledger:
        recorded = studies.follow_data(ledger, ledger.study(study), data)
        studies.check_networks(recorded)
        table = asked_table(ledger, recorded, asked)
        number = best_trials(table)[0] if trial is None else trial
        ledger.trial(recorded, number)
        taken = studies.take_model(ledger, recorded, number, studies.load_source(recorded), refit)
    write(path, output, models.to_bytes(taken, path.suffix.lower()))
    if as_json:
        say({"file": output, **taken.about})
    else:
        row = table.trials[table.trials["number"] == number]
        varied = {name: row[name].iloc[0] for name in table.swept if len(row)}
        say(model_report(taken.about, output, varied))


@app.command(rich_help_panel="Take away")
@group_flags
def predict(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .safetensors or .onnx file of `sweep model`.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Rows as they are, not standardised: an .npz file (rows x, or x_test), an .npy file, a table, images "
            "(a folder or one file), or a data set by its name, such as digits.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .csv, .parquet, .json or .md; - is CSV on standard output.",
        ),
    ],
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help="Which rows: train, val or test, as the model's study split them. [dim]\\[default of a data set test, "
            "of a file or folder its rows x, its folder test, or all][/]",
        ),
    ] = None,
    data_dir: DataDir = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE.py:NAME",
            help="The code of a model of your own network; no code is run that is not named here. An .onnx needs none.",
        ),
    ] = None,
) -> None:
    """Answer rows with a model that was written: of each the class, its probability, and that of every class; of
    regression a number, in the target's own units.

    For example: sweep predict best.safetensors digits --part test -o preds.csv
    """
    from sweep import models
    from sweep.data import read_rows
    from sweep.report.files import SUFFIXES, check_target, export_table
    from sweep.report.models import answers_line, answers_table

    if output != "-":
        check_target(output, SUFFIXES)
    loaded = models.read(file, network)
    rows = read_rows(data, part, loaded.takes(data), data_dir)
    for note in rows.notes:
        print(f"{rows.where}: {note}", file=sys.stderr)
    table = answers_table(loaded.answers(rows.x), loaded.classes, rows.files)
    export_table(table, output)
    line = answers_line(output, table, rows)
    print(line, file=sys.stderr if output == "-" else sys.stdout)


@app.command(rich_help_panel="Ask")
@group_flags
def ensemble(
    *,
    study: StudyName,
    top: Annotated[int, typer.Option("--top", min=2, max=1000, metavar="K", help="How many members.")] = 5,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Average the seeds of the best setting, in place of the best settings.")
    ] = False,
    data: MovedData = None,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Say what averaging the best members' probabilities, or numbers, gives beside the best member, on test data.

    Members are the best settings, each by its best seed, chosen on validation alone; each is trained again.
    For example: sweep ensemble bn --top 5
    """
    from sweep import study as studies
    from sweep.analysis.ensembles import average_members, average_numbers, best_trials
    from sweep.errors import UsageError
    from sweep.ledger import Ledger
    from sweep.report.models import ensemble_json, ensemble_report

    with Ledger(asked.results) as ledger:
        recorded = studies.follow_data(ledger, ledger.study(study), data)
        studies.check_networks(recorded)
        table = asked_table(ledger, recorded, asked)
        members = best_trials(table, seeds)[:top]
        if len(members) < 2:
            kind = "seed of the best setting" if seeds else "setting"
            raise UsageError(f"study {study!r}: one {kind} has a complete trial; expected two to average")
        source = studies.load_source(recorded)
        answers = []
        for place, number in enumerate(members, 1):
            print(f"member {place} of {len(members)}: trial {number}", file=sys.stderr)
            answers.append(studies.take_model(ledger, recorded, number, source).answers(source.test[0]))
    import numpy as np

    average = average_numbers if recorded.recipe.regression else average_members
    averaged = average(members, np.stack(answers), source.test[1])
    if len(members) < top:
        print(f"--top {top}: there are {len(members)}", file=sys.stderr)
    say(ensemble_json(table, averaged) if as_json else ensemble_report(table, averaged, seeds))
