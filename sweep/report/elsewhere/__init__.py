"""A study written to where people keep theirs: MLflow, Weights & Biases, trackio. Each needs the tool's own package.

trials   what is written, in one form for all
mlflow   an experiment
wandb    offline runs
trackio  a project

What sweep knows and the tool has no place for (states, reasons, the metric and its direction, versions) is written
under the name `sweep`, and `sweep import` reads it back.
"""
