from .columns import Row as Row
from .differences import Change as Change, Diff as Diff, diff as diff
from .summaries import Summary as Summary, summarise as summarise, summary as summary
