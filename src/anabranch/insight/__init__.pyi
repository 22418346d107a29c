from .differences import Change as Change, Diff as Diff, diff as diff
from .summaries import Row as Row, Summary as Summary, summarise as summarise, summary as summary
