# An inverted residual (Sandler et al. 2018): wide in the middle, narrow at the ends, added where the shapes agree
import keras
from keras import layers


def inverted_residual(x, filters, stride=1, expansion=6):
    channels = x.shape[-1]
    y = layers.Conv2D(expansion * channels, 1, use_bias=False)(x)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(y))
    return layers.add([x, y]) if stride == 1 and channels == filters else y


inputs = keras.Input((96, 96, 3))
x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(inputs)
for filters, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1)):
    x = inverted_residual(x, filters, stride)
model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="mobile")
