"""How wide texts are: by the letters of DejaVu Sans, as wide as any sans-serif font in use, so that texts fit in all."""

from __future__ import annotations

# In thousandths of the size of the letters, in the order of LETTERS
# fmt: off
_REGULAR = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635,
    634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838, 612,
    500, 838, 401, 401, 318, 612, 838, 630, 613, 613, 550, 615, 615, 634, 612, 612, 634, 684, 684, 632, 764, 659, 638, 592,
    612, 541, 544, 634, 612, 592, 636, 634, 660, 578, 660, 837, 500, 1000, 318, 518, 518, 1000, 838, 838, 838, 838,
)
_BOLD = (
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696, 696, 696,
    696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995, 837, 850,
    733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716, 678, 435, 716,
    712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838, 646,
    500, 838, 438, 438, 380, 646, 838, 719, 675, 675, 593, 678, 678, 712, 687, 687, 712, 774, 774, 683, 850, 687, 716, 681,
    687, 557, 591, 712, 687, 633, 736, 779, 782, 645, 794, 869, 500, 1000, 380, 657, 657, 1000, 838, 838, 838, 838,
)
# fmt: on
_WIDE = "WF"  # of Chinese, Japanese and Korean: as wide as high
LETTERS = "".join(map(chr, range(32, 127))) + "«°±²³·»×ßäåçèéñöøüΑΔΣΩαβγδεζηθλμσφχψω–—’“”…→−≤≥"
"""What the fonts beside this file have."""
_PLACES = {letter: place for place, letter in enumerate(LETTERS)}


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is.

    >>> width_of("Dense", 10)
    31.55
    """
    table = _BOLD if bold else _REGULAR
    total = sum(table[_PLACES[letter]] if letter in _PLACES else _other(letter) for letter in text)
    return round(total * size / 1000, 2)


def _other(letter: str) -> int:
    from unicodedata import combining, east_asian_width

    if combining(letter):
        return 0
    return 1000 if east_asian_width(letter) in _WIDE else 840


def is_known(text: str) -> bool:
    """Return whether the fonts beside this file have all letters of a text.

    >>> is_known("×9"), is_known("層")
    (True, False)
    """
    return all(letter in _PLACES for letter in text)
