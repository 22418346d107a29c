"""Whether attention layers refuse what rules flash attention out."""

from __future__ import annotations

_flash_attention = False


def enable_flash_attention() -> None:
    """Let attention layers refuse what rules flash attention out: dropout and attention scores. torch chooses the kernel.

    Example:
        >>> enable_flash_attention()
        >>> is_flash_attention_enabled()
        True
        >>> disable_flash_attention()
    """
    global _flash_attention
    _flash_attention = True


def disable_flash_attention() -> None:
    """Let attention layers take dropout and give attention scores, the default.

    Example:
        >>> disable_flash_attention()
        >>> is_flash_attention_enabled()
        False
    """
    global _flash_attention
    _flash_attention = False


def is_flash_attention_enabled() -> bool:
    """Return whether attention layers refuse what rules flash attention out.

    Example:
        >>> is_flash_attention_enabled()
        False
    """
    return _flash_attention
