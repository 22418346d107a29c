# ResNet-50 (He et al. 2015): sixteen bottleneck blocks, 25.6 million parameters
import keras
from keras import layers


def conv(x, filters, size, stride=1):
    return layers.BatchNormalization()(layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x))


def bottleneck(x, filters, stride):
    shortcut = x if x.shape[-1] == 4 * filters and stride == 1 else conv(x, 4 * filters, 1, stride)
    y = layers.ReLU()(conv(x, filters, 1))
    y = layers.ReLU()(conv(y, filters, 3, stride))
    return layers.ReLU()(layers.add([conv(y, 4 * filters, 1), shortcut]))


inputs = keras.Input((224, 224, 3))
x = layers.ReLU()(conv(inputs, 64, 7, 2))
x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
for stage, blocks in enumerate((3, 4, 6, 3)):
    for block in range(blocks):
        x = bottleneck(x, 64 * 2**stage, 2 if block == 0 and stage > 0 else 1)
model = keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)), name="resnet50")
