from . import cifar10 as cifar10, cifar100 as cifar100, fashion_mnist as fashion_mnist, mnist as mnist, shapes as shapes
from .sources import downloaded as downloaded
