from .findings import Finding as Finding, Findings as Findings
from .linter import findings_of as findings_of, lint as lint, warn_of_findings as warn_of_findings
from .rulebook import Rule as Rule, rules as rules
