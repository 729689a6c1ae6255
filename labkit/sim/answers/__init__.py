"""What the simulated API says.  It never pretends to be a model.

Every message id says "sim", and so does every answer that is not a bare label, number or JSON.
`compose` chooses the rule that answers a request, `spoiled` is what a fault leaves of it.
"""

from labkit.sim.answers.composed import Composed, block_tokens
from labkit.sim.answers.composing import compose
from labkit.sim.answers.plain import answer
from labkit.sim.answers.scripts import Said, Says, Script, When
from labkit.sim.answers.skills import SKILLS, Skill
from labkit.sim.answers.spoiling import spoiled

__all__ = [
    "SKILLS",
    "Composed",
    "Said",
    "Says",
    "Script",
    "Skill",
    "When",
    "answer",
    "block_tokens",
    "compose",
    "spoiled",
]
