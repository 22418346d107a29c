"""The fuzzer's modules import real Keras at once, so they run in processes of their own and are not searched for doctests."""

from pathlib import Path

collect_ignore = [path.name for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
