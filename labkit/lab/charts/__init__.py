"""Charts with one look for every lesson, drawn offline as SVG, each with alt text.

    timeline    what every call did and when: the picture of a fault
    curve       one or more lines, named where they end
    comparison  bars that carry their figures
    scatter     named dots, and the front of those nobody beats
    states      a state machine, drawn from its table

Each takes a pandas table and gives a `Chart`; what cannot be drawn honestly is a `UserError`.
"""

from labkit.lab.charts._chart import Chart
from labkit.lab.charts._comparison import comparison
from labkit.lab.charts._curve import curve
from labkit.lab.charts._scatter import scatter
from labkit.lab.charts._states import states
from labkit.lab.charts._timeline import timeline

__all__ = ["Chart", "comparison", "curve", "scatter", "states", "timeline"]
