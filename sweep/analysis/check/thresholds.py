"""The thresholds of `sweep check`: when each remark is made, so that a healthy study has none. Needs nothing.

| kind | is remarked when | |---|---| | `failed` | any trial failed, or is not trained yet | | `diverged` | any trial
diverged; a hyperparameter is named where permuting the settings gives such shares with a chance of at most `BLAME`,
corrected for the number of hyperparameters | | `pruned` | trials were pruned and none is complete | | `guessing` | no
setting's mean accuracy on the validation rows is above that of always guessing their most frequent class, or by so
little that chance does it at `CHANCE` (binomial over the rows, Bonferroni over the settings); where the target is a
number, no setting's mean R² is above 0 | | `classes` | one class
has at least `MOSTLY` of the training rows (see sweep.data), or a class has none | | `warmup` | a trial's warm-up is
longer than its training | | `machines` | the trials were trained with several versions of torch, processors or vector
instructions | | `edge` | the best setting, of all or of one value of a factor with at most `MOST_FACTORS`, lies at the
end of a swept range of three or more numbers (not where the hyperparameter itself ends), and that end is better than
the next value inward by the test of `sweep effect` (all ends of the study judged together at 5 %), or every run (a cell
and a seed) gets better value after value all the way to it, more surely than chance, or its share among the best `TOP`
settings would arise by chance less than once in `EDGE_CHANCE`; in a search: it and most of the best five lie in the
outermost `NEAR` of a range, more than chance does at 5 % over all ends | | `improving` | of the best settings' trials,
at least `MOST` improve by `IMPROVING` of the loss (`IMPROVING_POINTS` of accuracy) over the last fifth of the epochs,
against the fifth before, and their mean by more than `CLEAR` standard errors (over the trials, if there are `ENOUGH`;
else of the curves' noise) | | `overfitting` | of the best settings' trials, at least `MOST` end `WORSE`, and three
times the curve's noise, above their least validation loss (median of three epochs), while the training loss still falls
| | `noisy` | of the best settings' trials, at least `MOST` vary from epoch to epoch in the last third (at least five)
by `NOISY` of the loss (`NOISY_POINTS` of accuracy) | | `seeds` | the first and second setting cannot be told apart on
the board of `sweep show` (its ≈); or that has nothing to judge by, as with one seed, and the gap is under
`ONE_SEED_GAP` of the loss (`ONE_SEED_GAP_POINTS`) | | `nothing` | a hyperparameter's interval over at least six cells
lies within `NEGLIGIBLE` of the typical metric (`NEGLIGIBLE_POINTS`) for every level, and so do the bests of its levels
|
"""

from __future__ import annotations

CHANCE = 0.05
BLAME, PERMUTATIONS = 0.05, 2000
EDGE_CHANCE = 1000
MOST_FACTORS = 4
TOP = 0.05  # of the settings, at least 5
NEAR = 0.1
IMPROVING, IMPROVING_POINTS = 0.03, 0.003
CLEAR, ENOUGH = 2.0, 5
WORSE = 0.10
NOISY, NOISY_POINTS = 0.10, 0.01
MOST = 0.5
ONE_SEED_GAP, ONE_SEED_GAP_POINTS = 0.25, 0.03
NEGLIGIBLE, NEGLIGIBLE_POINTS = 0.02, 0.002
CONFIRMED = 3  # settings that a proposed `sweep confirm` trains again
READ = 10
"""Best settings whose curves are read, or a quarter of them if those are fewer."""
SHORTEST = 6
"""Epochs below which a curve says nothing about its end."""
