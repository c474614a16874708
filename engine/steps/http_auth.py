"""The kinds of `auth`: what a request carries to prove who sends it. Pure but for AWS, whose signatures tell the time.

AWS signatures are botocore's own: of the libraries at hand only its canonical form agrees with AWS for every path and
query (the small ones encode an escaped path once where all services but S3 want it twice).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx

from engine.steps.http_request import BadRequest, Request, scalar
from storage.records import Json

Auth = Mapping[str, Json]

HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


def sign(request: Request, auth: Auth, bearer: str = "") -> Request:
    """The request with the headers that `auth` gives it. `bearer` is the access token for OAuth 2.

    Signatures cover the request as it is, so sign it last. Raises `BadRequest`.
    """
    kind = auth.get("type", "none")
    if kind not in _KINDS:
        raise BadRequest(f"auth.type {kind!r} is not one of {', '.join(_KINDS)}")
    if kind == "aws_sigv4":
        request = replace(request, url=_plain_query(request.url))
    headers = _KINDS[kind](request, {**auth, "token": bearer} if kind == "oauth2" else auth)
    names = frozenset(name.lower() for name in headers)
    kept = {name: value for name, value in request.headers.items() if name.lower() not in names}
    return replace(request, headers={**kept, **headers}, credentials=names)


def basic(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def field(auth: Auth, name: str) -> str:
    """A value of `auth` as text. Raises `BadRequest` when it is missing."""
    return scalar(f"auth.{name}", auth.get(name))


def _none(_request: Request, _auth: Auth) -> dict[str, str]:
    return {}


def _basic(_request: Request, auth: Auth) -> dict[str, str]:
    return {"Authorization": basic(field(auth, "username"), field(auth, "password"))}


def _bearer(_request: Request, auth: Auth) -> dict[str, str]:
    return {"Authorization": f"Bearer {field(auth, 'token')}"}


def _header(_request: Request, auth: Auth) -> dict[str, str]:
    return {field(auth, "name"): field(auth, "value")}


def _hmac(request: Request, auth: Auth) -> dict[str, str]:
    algorithm = auth.get("algorithm") or "sha256"
    if algorithm not in HASHES:
        raise BadRequest(f"auth.algorithm {algorithm!r} is not one of {', '.join(HASHES)}")
    digest = hmac.new(field(auth, "secret").encode(), request.body, HASHES[algorithm]).hexdigest()
    return {auth.get("header") or "X-Signature": f"{auth.get('prefix', f'{algorithm}=')}{digest}"}


def _aws(request: Request, auth: Auth) -> dict[str, str]:
    from botocore.auth import S3SigV4Auth, SigV4Auth  # takes longer to load than all the rest: only when it is used
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    token = field(auth, "session_token") if auth.get("session_token") else None
    keys = Credentials(field(auth, "access_key"), field(auth, "secret_key"), token)
    service, region = field(auth, "service"), field(auth, "region")
    covered = {name: value for name, value in request.headers.items() if _is_covered(name.lower())}
    signed = AWSRequest(request.method, request.url, data=request.body, headers=covered)
    (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, region).add_auth(signed)
    return {name: value for name, value in signed.headers.items() if name not in covered}


def _is_covered(name: str) -> bool:
    return name == "content-type" or name.startswith("x-amz-")


def _plain_query(url: str) -> str:
    """The URL exactly as it will be sent, spaces in the query as %20: AWS does not read `+` as a space."""
    try:
        target = httpx.URL(url)
        return str(target.copy_with(query=target.query.replace(b"+", b"%20") or None))
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadRequest(f"the url is not valid ({error})") from error


_KINDS: Mapping[str, Callable[[Request, Auth], dict[str, str]]] = {
    "none": _none,
    "basic": _basic,
    "bearer": _bearer,
    "header": _header,
    "hmac": _hmac,
    "oauth2": _bearer,
    "aws_sigv4": _aws,
}
