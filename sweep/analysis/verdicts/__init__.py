"""What became of a study's claims: a verdict each. Needs the table, the seeds' roles, the statistics.

evidence  differences in a claim's favour, and what they show
matching  trials laid out as cells x seeds
tuning    settings chosen on some seeds, scored on others
better    a level is better than another, or as good
depends   what a level gains depends on another hyperparameter
wider     more values of a range are usable with a level
sooner    a target is reached in fewer steps with a level
trend     the metric rises or falls with a hyperparameter
beats     the best setting reaches a bar
judging   the verdicts, corrected for all claims of a study
"""

from sweep.analysis.verdicts.evidence import Evidence
from sweep.analysis.verdicts.judging import VERDICTS, Part, Verdict, judge_claims
from sweep.analysis.verdicts.matching import check_claim

__all__ = ["VERDICTS", "Evidence", "Part", "Verdict", "check_claim", "judge_claims"]
