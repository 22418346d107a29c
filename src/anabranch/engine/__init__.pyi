from .allocator import first_step_done as first_step_done, keeping_memory as keeping_memory, step_done as step_done
from .attributes import Watched as Watched, note_changes as note_changes
from .constants import Observed as Observed
from .eager import Eager as Eager, Runner as Runner
from .execution import Execution as Execution, Rewriting as Rewriting, explain_execution as explain_execution
from .interpreter import REFUSALS as REFUSALS, culprit as culprit, explained as explained, interpret as interpret
from .jit import refusal as refusal
from .programs import (
    Elsewhere as Elsewhere,
    Program as Program,
    place_weights as place_weights,
    program as program,
    watched_layers as watched_layers,
)
from .seeding import device as device, synchronise_seed as synchronise_seed
