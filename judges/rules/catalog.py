"""Every rule by its name. A new one is a file beside this one and a row here."""

from judges.rules.blur import BLUR
from judges.rules.consistency import JITTER, WARP
from judges.rules.cut import CUT
from judges.rules.exposure import EXPOSURE
from judges.rules.first_frame import FIRST_FRAME
from judges.rules.flicker import FLICKER
from judges.rules.frozen import FROZEN
from judges.rules.motion import MOTION
from judges.rules.rule import Rule
from judges.rules.timing import LENGTH, RATE
from storage.verdicts.duplicates import DUPLICATE

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (LENGTH, RATE, FROZEN, MOTION, FLICKER, EXPOSURE, CUT, FIRST_FRAME, WARP, JITTER, BLUR)
}
NAMES = (*RULES, DUPLICATE)
