"""The signed bytes of the local store."""

from __future__ import annotations

from flask import Response

from lms.core.storage.base import Storage
from lms.http.blueprint import PUBLIC, TenantBlueprint
from lms.http.call import Call
from lms.http.sharing import share_with_any_origin
from lms.media import files

blp = TenantBlueprint(
    "Files",
    __name__,
    description="Bytes behind signed addresses, where uploads are kept by the academy itself.",
)
FILES = "/files/<token>"
share_with_any_origin(blp, below="/files/")


@blp.operation(
    "GET",
    FILES,
    id="readFile",
    roles=PUBLIC,
    transaction="steps",
    content_type="*/*",
    responses={
        206: "The bytes that Range asks for.",
        304: "They are still what If-None-Match names.",
        416: "Range lies behind the end of the file.",
    },
    refusals=(412,),
    headers={
        "If-Match": "Answer 412 unless the ETag is still this one.",
        "Range": "The bytes to answer with, as `bytes=0-1023`.",
        "If-Range": "Answer with all bytes instead, unless their ETag is still this one.",
        "If-None-Match": "Answer 304 when the ETag is still this one.",
    },
)
def read_file(call: Call, token: str) -> Response:
    """Read the bytes behind a signed address.

    For whoever has the address, until it expires. Addresses come from other operations; never
    make one up. Ranges and conditional requests work.
    """
    storage, claim = files.read_claim(call.use(Storage), call.organization_id, token)
    return files.send(storage, claim)


@blp.operation(
    "PUT",
    FILES,
    id="writeFilePart",
    raw_body="application/octet-stream",
    status=204,
    roles=PUBLIC,
    transaction="steps",
    refusals=(400, 409),
)
def write_file_part(call: Call, token: str) -> None:
    """Send one part of an upload to its signed address.

    For whoever has the address, until it expires. The body is the part's bytes, exactly as many as
    announced; a part that is sent again replaces the earlier one. 409 when the upload was
    completed or dropped.
    """
    storage, claim = files.part_claim(call.use(Storage), call.organization_id, token)
    files.receive(storage, claim, call.request)
