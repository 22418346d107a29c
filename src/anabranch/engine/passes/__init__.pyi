from .base import Note as Note, Pass as Pass, Setting as Setting, attribute as attribute
from .order import PASSES as PASSES, apply as apply
from .constants import Parts as Parts, take_apart as take_apart
