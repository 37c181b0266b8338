"""The image formats that every model API accepts, by file extension."""

from __future__ import annotations

IMAGE_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}


def image_type(path: str) -> str:
    """The media type of an image file. Raises ValueError for another extension."""
    found = IMAGE_TYPES.get(path.rpartition(".")[2].lower())
    if found is None:
        raise ValueError(f"{path!r} is not a supported image; supported: {', '.join(IMAGE_TYPES)}")
    return found
