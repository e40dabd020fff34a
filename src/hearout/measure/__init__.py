"""The judge: how much of an announcement is in a recording.

Quality scores do not see a hole (two seconds missing of 31 score 4.77 of 5 in ViSQOL), so the recording is aligned with
the announcement and compared frame by frame. What was concealed by a receiver counts as heard: this measures what is
audible.
"""

from ._audio import RATE, MeasureError, read
from ._judge import Measured, Stretch, measure

__all__ = ["RATE", "MeasureError", "Measured", "Stretch", "measure", "read"]
