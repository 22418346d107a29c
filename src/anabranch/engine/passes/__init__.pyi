from .base import Note as Note, Pass as Pass, Settings as Settings
from .constants import Parts as Parts, take_apart as take_apart
from .nodes import attribute as attribute
from .order import PASSES as PASSES, READABLE as READABLE, apply as apply
from .work import WORTH as WORTH, multiplications as multiplications, reuse as reuse
