"""Words of Keras 1 and 2 that scripts still use, under the stand-in alone: module paths, names, arguments and methods.

``words`` has them as tables, which ``anabranch check`` reads too. Each works as its word of today and is warned of once, at the
user's line.
"""
