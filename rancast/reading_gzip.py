"""Gzip in bounded memory: a small file that unfolds into a huge one is cut off, not obeyed."""

import gzip
import io
import zlib
from typing import NamedTuple

BLOCK_BYTES = 1 << 20
SIGNATURE = b"\x1f\x8b"
DELIVER_AGAIN = "have it delivered again"
SPLIT = "have it delivered in several files, or raise format.limit_mb in the dataset's YAML"


class Unpacked(NamedTuple):
    """The content as far as it could be unpacked, what is wrong with the file, and what to do."""

    content: bytes
    fault: str = ""
    step: str = DELIVER_AGAIN


def unpack(data: bytes, limit: int) -> Unpacked:
    """Decompress one gzip file, of several members too, up to `limit` bytes of content."""
    if not data.startswith(SIGNATURE):
        return Unpacked(b"", "is empty" if not data else "is not gzip, though its name says so")
    blocks: list[bytes] = []
    size = 0
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        try:
            # read1 hands out what came before a fault; read would drop it
            while block := file.read1(BLOCK_BYTES):
                size += len(block)
                if size > limit:
                    # Its records are not even counted: to hold them is what it is made to prevent
                    return Unpacked(b"", f"unfolds into more than {limit:,} bytes", SPLIT)
                blocks.append(block)
        except EOFError:
            return Unpacked(b"".join(blocks), "is a gzip file that was cut short")
        except (OSError, zlib.error) as error:
            return Unpacked(b"".join(blocks), f"is a damaged gzip file ({error})")
    return Unpacked(b"".join(blocks))
