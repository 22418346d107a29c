from .averaging import SwapEMAWeights as SwapEMAWeights
from .backup import BackupAndRestore as BackupAndRestore
from .callback import Callback as Callback
from .checkpoint import ModelCheckpoint as ModelCheckpoint
from .history import History as History
from .learning_rate import LearningRateScheduler as LearningRateScheduler, ReduceLROnPlateau as ReduceLROnPlateau
from .listing import CallbackList as CallbackList
from .logs import CSVLogger as CSVLogger, LambdaCallback as LambdaCallback, TerminateOnNaN as TerminateOnNaN
from .monitoring import EarlyStopping as EarlyStopping
from .progress import ProgbarLogger as ProgbarLogger, ProgressBar as ProgressBar
from .remote import RemoteMonitor as RemoteMonitor
from .tensorboard import TensorBoard as TensorBoard
from .trackers import MLflowLogger as MLflowLogger, WandbLogger as WandbLogger
