"""JSON that can stand inside a ``script`` element."""

from __future__ import annotations

import json
import math
from typing import Any


def island_json(value: Any) -> str:
    """Compact JSON without ``<``, ``>`` or ``&``, so that neither ``</script>`` nor ``<!--`` can occur in it.

    Numbers that JSON does not have become null.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
