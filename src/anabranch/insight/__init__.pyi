from .summary import Summary as Summary, summarise as summarise, summary as summary
