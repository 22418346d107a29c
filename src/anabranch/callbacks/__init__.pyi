from .backup import BackupAndRestore as BackupAndRestore
from .callback import Callback as Callback
from .checkpoint import ModelCheckpoint as ModelCheckpoint
from .history import History as History
from .learning_rate import LearningRateScheduler as LearningRateScheduler, ReduceLROnPlateau as ReduceLROnPlateau
from .listing import CallbackList as CallbackList
from .logs import CSVLogger as CSVLogger, LambdaCallback as LambdaCallback, TerminateOnNaN as TerminateOnNaN
from .monitoring import EarlyStopping as EarlyStopping
from .progress import ProgressBar as ProgressBar
