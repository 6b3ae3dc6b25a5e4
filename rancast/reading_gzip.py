"""Gzip in bounded memory: a small file that unfolds into a huge one is cut off, not obeyed."""

import gzip
import io
import zlib
from typing import NamedTuple

BLOCK_BYTES = 1 << 20
DELIVER_AGAIN = "have it delivered again"


class Unpacked(NamedTuple):
    """The content as far as it could be unpacked, and what is wrong with the file, if anything."""

    content: bytes
    fault: str = ""
    is_too_large: bool = False


def unpack(data: bytes, limit: int) -> Unpacked:
    """Decompress one gzip file, of several members too, up to `limit` bytes of content."""
    blocks: list[bytes] = []
    size = 0
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        try:
            # read1 hands out what came before a fault; read would drop it
            while block := file.read1(BLOCK_BYTES):
                size += len(block)
                if size > limit:
                    return Unpacked(b"", f"unfolds into more than {limit:,} bytes", True)
                blocks.append(block)
        except EOFError:
            return Unpacked(b"".join(blocks), "is a gzip file that was cut short")
        except (OSError, zlib.error) as error:
            is_other = not data.startswith(b"\x1f\x8b")
            fault = "is not a gzip file, though its name says so"
            return Unpacked(
                b"".join(blocks), fault if is_other else f"is a damaged gzip file ({error})"
            )
    return Unpacked(b"".join(blocks))
