from .base import Layer as Layer
from .convolutional import Conv2D as Conv2D
from .core import Activation as Activation, Dense as Dense, Input as Input, InputLayer as InputLayer
from .merging import Add as Add, add as add
from .pooling import GlobalAveragePooling2D as GlobalAveragePooling2D, MaxPooling2D as MaxPooling2D
from .regularization import Dropout as Dropout
