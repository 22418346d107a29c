"""A user's program is read by type checkers, not run."""

collect_ignore = ["user.py"]
