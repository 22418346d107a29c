from .activation import ELU as ELU, LeakyReLU as LeakyReLU, PReLU as PReLU, ReLU as ReLU, Softmax as Softmax
from .adaptive_pooling import (
    AdaptiveAveragePooling1D as AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D as AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D as AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D as AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D as AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D as AdaptiveMaxPooling3D,
)
from .attention.grouped_query import GroupQueryAttention as GroupQueryAttention
from .attention.multi_head import MultiHeadAttention as MultiHeadAttention
from .attention.plain import AdditiveAttention as AdditiveAttention, Attention as Attention
from .base import Layer as Layer
from .convolutional import (
    Conv1D as Conv1D,
    Conv2D as Conv2D,
    Conv3D as Conv3D,
    Convolution1D as Convolution1D,
    Convolution2D as Convolution2D,
    Convolution3D as Convolution3D,
)
from .core import (
    Activation as Activation,
    Dense as Dense,
    Identity as Identity,
    Input as Input,
    InputLayer as InputLayer,
)
from .einsum_dense import EinsumDense as EinsumDense
from .embedding import Embedding as Embedding, ReversibleEmbedding as ReversibleEmbedding
from .images.adjusting import (
    RandomBrightness as RandomBrightness,
    RandomContrast as RandomContrast,
)
from .images.boxes import MaxNumBoundingBoxes as MaxNumBoundingBoxes
from .images.coloring import (
    RandomColorDegeneration as RandomColorDegeneration,
    RandomColorJitter as RandomColorJitter,
    RandomGrayscale as RandomGrayscale,
    RandomHue as RandomHue,
    RandomInvert as RandomInvert,
    RandomPosterization as RandomPosterization,
    RandomSaturation as RandomSaturation,
    Solarization as Solarization,
)
from .images.equalizing import (
    AutoContrast as AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization as ContrastLimitedAdaptiveHistogramEqualization,
    Equalization as Equalization,
)
from .images.filtering import (
    RandomErasing as RandomErasing,
    RandomGaussianBlur as RandomGaussianBlur,
    RandomSharpness as RandomSharpness,
)
from .images.framing import (
    CenterCrop as CenterCrop,
    RandomCrop as RandomCrop,
    Resizing as Resizing,
)
from .images.mixing import CutMix as CutMix, MixUp as MixUp
from .images.policies import AugMix as AugMix, Pipeline as Pipeline, RandAugment as RandAugment
from .images.warping import (
    RandomElasticTransform as RandomElasticTransform,
    RandomFlip as RandomFlip,
    RandomPerspective as RandomPerspective,
    RandomRotation as RandomRotation,
    RandomShear as RandomShear,
    RandomTranslation as RandomTranslation,
    RandomZoom as RandomZoom,
)
from .input_spec import InputSpec as InputSpec
from .lambdas import Lambda as Lambda
from .masking import Masking as Masking
from .merging import (
    Add as Add,
    Average as Average,
    Concatenate as Concatenate,
    Dot as Dot,
    Maximum as Maximum,
    Minimum as Minimum,
    Multiply as Multiply,
    Subtract as Subtract,
    add as add,
    average as average,
    concatenate as concatenate,
    dot as dot,
    maximum as maximum,
    minimum as minimum,
    multiply as multiply,
    subtract as subtract,
)
from .normalization import (
    BatchNormalization as BatchNormalization,
    GroupNormalization as GroupNormalization,
    LayerNormalization as LayerNormalization,
    RMSNormalization as RMSNormalization,
    UnitNormalization as UnitNormalization,
)
from .pooling import (
    AveragePooling1D as AveragePooling1D,
    AveragePooling2D as AveragePooling2D,
    AveragePooling3D as AveragePooling3D,
    AvgPool1D as AvgPool1D,
    AvgPool2D as AvgPool2D,
    AvgPool3D as AvgPool3D,
    GlobalAveragePooling1D as GlobalAveragePooling1D,
    GlobalAveragePooling2D as GlobalAveragePooling2D,
    GlobalAveragePooling3D as GlobalAveragePooling3D,
    GlobalAvgPool1D as GlobalAvgPool1D,
    GlobalAvgPool2D as GlobalAvgPool2D,
    GlobalAvgPool3D as GlobalAvgPool3D,
    GlobalMaxPool1D as GlobalMaxPool1D,
    GlobalMaxPool2D as GlobalMaxPool2D,
    GlobalMaxPool3D as GlobalMaxPool3D,
    GlobalMaxPooling1D as GlobalMaxPooling1D,
    GlobalMaxPooling2D as GlobalMaxPooling2D,
    GlobalMaxPooling3D as GlobalMaxPooling3D,
    MaxPool1D as MaxPool1D,
    MaxPool2D as MaxPool2D,
    MaxPool3D as MaxPool3D,
    MaxPooling1D as MaxPooling1D,
    MaxPooling2D as MaxPooling2D,
    MaxPooling3D as MaxPooling3D,
)
from .preprocessing import Normalization as Normalization, Rescaling as Rescaling
from .recurrent.bidirectional import Bidirectional as Bidirectional
from .recurrent.convolutional import ConvLSTM1D as ConvLSTM1D, ConvLSTM2D as ConvLSTM2D, ConvLSTM3D as ConvLSTM3D
from .recurrent.gru import GRU as GRU, GRUCell as GRUCell
from .recurrent.lstm import LSTM as LSTM, LSTMCell as LSTMCell
from .recurrent.rnn import RNN as RNN
from .recurrent.simple import SimpleRNN as SimpleRNN, SimpleRNNCell as SimpleRNNCell
from .recurrent.stacked import StackedRNNCells as StackedRNNCells
from .recurrent.time_distributed import TimeDistributed as TimeDistributed
from .registry import deserialize as deserialize, serialize as serialize
from .regularization import (
    ActivityRegularization as ActivityRegularization,
    AlphaDropout as AlphaDropout,
    Dropout as Dropout,
    GaussianDropout as GaussianDropout,
    GaussianNoise as GaussianNoise,
    SpatialDropout1D as SpatialDropout1D,
    SpatialDropout2D as SpatialDropout2D,
    SpatialDropout3D as SpatialDropout3D,
)
from .reshaping import (
    Flatten as Flatten,
    Permute as Permute,
    RepeatVector as RepeatVector,
    Reshape as Reshape,
)
from .resizing import (
    Cropping1D as Cropping1D,
    Cropping2D as Cropping2D,
    Cropping3D as Cropping3D,
    UpSampling1D as UpSampling1D,
    UpSampling2D as UpSampling2D,
    UpSampling3D as UpSampling3D,
    ZeroPadding1D as ZeroPadding1D,
    ZeroPadding2D as ZeroPadding2D,
    ZeroPadding3D as ZeroPadding3D,
)
from .separable import (
    DepthwiseConv1D as DepthwiseConv1D,
    DepthwiseConv2D as DepthwiseConv2D,
    SeparableConv1D as SeparableConv1D,
    SeparableConv2D as SeparableConv2D,
    SeparableConvolution1D as SeparableConvolution1D,
    SeparableConvolution2D as SeparableConvolution2D,
)
from .spectral import SpectralNormalization as SpectralNormalization
from .spectrograms import MelSpectrogram as MelSpectrogram, STFTSpectrogram as STFTSpectrogram
from .tables.categories import CategoryEncoding as CategoryEncoding, Discretization as Discretization
from .tables.hashing import HashedCrossing as HashedCrossing, Hashing as Hashing
from .tables.lookup import IntegerLookup as IntegerLookup, StringLookup as StringLookup
from .tables.text import TextVectorization as TextVectorization
from .torch_module import TorchModule as TorchModule, TorchModuleWrapper as TorchModuleWrapper
from .transposed import (
    Conv1DTranspose as Conv1DTranspose,
    Conv2DTranspose as Conv2DTranspose,
    Conv3DTranspose as Conv3DTranspose,
    Convolution1DTranspose as Convolution1DTranspose,
    Convolution2DTranspose as Convolution2DTranspose,
    Convolution3DTranspose as Convolution3DTranspose,
)
from .wrapper import Wrapper as Wrapper
