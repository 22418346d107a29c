from .columns import Row as Row
from .differences import Change as Change, Diff as Diff, diff as diff
from .mistaken import Mistake as Mistake, Mistakes as Mistakes, mistakes as mistakes
from .summaries import Summary as Summary, summarise as summarise, summary as summary
