"""What an image may be, by its name: the formats that every model API takes."""

from __future__ import annotations

IMAGE_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}


def image_type(path: str) -> str:
    """The media type of an image file. Raises ValueError for a name that is none's."""
    found = IMAGE_TYPES.get(path.rpartition(".")[2].lower())
    if found is None:
        raise ValueError(f"{path!r} is no image: {', '.join(IMAGE_TYPES)}")
    return found
