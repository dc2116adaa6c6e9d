"""What an MCP server gives back, as text."""

from __future__ import annotations

import json
from typing import Any


def result_text(content: list[Any], structured: Any) -> str:
    """The text that the model reads.

    Args:
        content: Content blocks: text as it is; images, audio and other data as their type and size;
            resources as their text or address.
        structured: The structured content; written as JSON where no content block says anything, since
            servers repeat it there.
    """
    parts = [part for block in content if (part := _block_text(block))]
    if parts:
        return "\n".join(parts)
    if structured is None:
        return ""
    return json.dumps(structured, ensure_ascii=False)


def _block_text(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type in ("image", "audio"):
        return _data(block.mime_type, block.data)
    if block.type == "resource_link":
        return " ".join(filter(None, (f"[{block.name}]({block.uri})", block.description)))
    if block.type == "resource":
        resource = block.resource
        text = getattr(resource, "text", None)
        return text if text is not None else f"{resource.uri}: {_data(resource.mime_type, resource.blob)}"
    return f"[{block.type}]"


def _data(kind: str | None, base64: str) -> str:
    return f"[{kind or 'data'}, {len(base64.rstrip('=')) * 3 // 4} bytes]"
