from .base import Note as Note, Pass as Pass, Setting as Setting, attribute as attribute
from .constants import Parts as Parts, take_apart as take_apart
from .order import PASSES as PASSES, READABLE as READABLE, apply as apply
from .work import MUCH as MUCH, multiplications as multiplications
