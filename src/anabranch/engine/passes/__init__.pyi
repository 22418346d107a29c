from .base import Note as Note, Pass as Pass, Setting as Setting
from .order import PASSES as PASSES, apply as apply
