from .columns import Row as Row
from .costs.counting import cost as cost
from .costs.report import Cost as Cost, CostRow as CostRow
from .costs.work import Call as Call, Stage as Stage, register_cost as register_cost
from .differences import Change as Change, Diff as Diff, diff as diff
from .drawing.drawn import Drawing as Drawing, draw as draw
from .linting import Finding as Finding, Findings as Findings, lint as lint
from .mistaken import Mistake as Mistake, Mistakes as Mistakes, mistakes as mistakes
from .sameness import Sameness as Sameness, same_function as same_function
from .summaries import Summary as Summary, summarise as summarise, summary as summary
from .view.page import View as View, page as page
