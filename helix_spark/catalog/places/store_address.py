"""The address of a catalog in an S3 store: whether it leads to a bucket that answers, and to a store that honours the
condition on which all records rest."""

from __future__ import annotations

import re

from helix_spark.catalog.places.object_store import ObjectPath
from helix_spark.errors import CatalogError, install
from helix_spark.s3_access import SCHEMES, access_from


def object_path(root: str) -> ObjectPath:
    """The place that an address such as ``s3a://bucket/path`` names, once it was seen that the bucket answers.

    Raises:
        CatalogError: it is no such address; or the store cannot be reached, has no such bucket, or lets nobody in who
            has these credentials.
    """
    scheme, _, rest = root.partition("://")
    path = re.sub("/+", "/", rest).strip("/")
    if scheme not in SCHEMES or not path or ".." in path.split("/"):
        raise CatalogError(f"the catalog {root!r} is neither a local folder nor a place in an S3 store",
                           remedy="give a folder's path, or s3a://BUCKET/PATH")
    if odd := sorted(set(re.findall(r"[^A-Za-z0-9/._=-]", path))):
        raise CatalogError(f"the catalog {root!r} has {' '.join(odd)!r} in its name",
                           exists="libraries write such letters in addresses in different ways",
                           remedy="use letters, digits, and . _ = - only")
    found = ObjectPath(access_from(), path)
    _check_installed()
    try:
        next(iter(found.glob("*")), None)
    except OSError as error:
        raise _unreachable(found, error) from error
    return found


def _check_installed() -> None:
    try:
        import obstore  # noqa: F401  # only whether it can be had
    except ImportError as error:
        raise CatalogError("a catalog in an object store needs the package obstore, which is not installed",
                           remedy=install("s3")) from error


def check_conditional(marker: ObjectPath, text: str) -> None:
    """Check that the store refuses to make an object that is there: all that keeps records apart rests on it.

    Args:
        marker: an object that is there.
        text: what it holds, so that a store which does not refuse changes nothing.

    Raises:
        CatalogError: the store does not refuse, or does not let us write.
    """
    try:
        marker.write_new_text(text)
    except FileExistsError:
        return
    except OSError as error:
        raise CatalogError(f"the catalog {marker.parent} cannot be written: {error.strerror}",
                           remedy="allow these credentials to write, or name another place; "
                           "log and explain work without writing") from error
    raise CatalogError(
        f"the store at {marker.access.where} does not honour If-None-Match when an object is written",
        exists="two runs at once could lose each other's records",
        remedy="use a store that does (AWS S3 does, MinIO does), or a local folder",
    )


def _unreachable(root: ObjectPath, error: OSError) -> CatalogError:
    where, text = root.access.where, error.strerror or str(error)
    if "NO_SUCH_BUCKET" in text:
        return CatalogError(f"there is no bucket {root.bucket!r} at {where}",
                            remedy="make it, name another, or set AWS_ENDPOINT_URL and AWS_REGION to where it is")
    if any(word in text for word in ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE", "TOKEN", "UNAUTHORIZED")):
        given = "those in AWS_ACCESS_KEY_ID" if root.access.key else "none are set"
        return CatalogError(f"the bucket {root.bucket!r} at {where} refuses these credentials",
                            exists=f"{given}; {text}",
                            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if any)")
    return CatalogError(f"the object store at {where} cannot be reached", exists=text,
                        remedy="check the network, AWS_ENDPOINT_URL and AWS_REGION")
