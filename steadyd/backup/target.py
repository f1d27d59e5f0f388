"""Where backups go: a folder, or a bucket of an S3-compatible store. Decided from an address and settings. No I/O.

Secrets come from the environment or a credentials file, under the names that the AWS tools use
(docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html); they are in nothing that is printed.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

from steadyd.errors import SteadyError

SETTINGS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
    "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip
"""What is read of the environment. A credentials file says the same in small letters, such as `aws_access_key_id`;
`endpoint_url` and `region` may stand without `aws_`, as the AWS tools write them."""
DEFAULT_REGION = "us-east-1"
"""What S3-compatible stores without regions expect to be signed for."""
PREFIX_CHARACTERS_MAX = 512
"""Of the 1,024 bytes that a key may have; what we put below a prefix is shorter than 256."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
PREFIX = re.compile(r"[A-Za-z0-9!_.'()=+-]+(/[A-Za-z0-9!_.'()=+-]+)*")


class TargetKind(StrEnum):
    """FILE: a folder of this machine or mounted in it; S3: a bucket."""

    FILE = "file"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Target:
    """Where backups go. `str()` of it may be shown to anybody who may know that there is one."""

    kind: TargetKind
    path: Path = Path()
    """The folder; of a bucket, none."""
    bucket: str = ""
    prefix: str = ""
    """What every key of the bucket begins with, without a slash at its end; "" is the bucket's top."""
    endpoint: str = ""
    """The store's URL; "" is Amazon's."""
    region: str = DEFAULT_REGION
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.address()

    def address(self, key: str = "") -> str:
        """The URL of what lies under `key`, as a person writes it."""
        if self.kind is TargetKind.FILE:
            return f"file://{quote(str(self.path / key))}"
        return "/".join(part for part in (f"s3://{self.bucket}", self.prefix, key) if part)

    def replica_url(self, line: str) -> str:
        """What Litestream is given for the line under that key (`layout.line`). It names levels below a folder
        `ltx/<level>`, and below a bucket's path at once: so both come to lie below `<line>/ltx/`."""
        if self.kind is TargetKind.FILE:
            return self.address(line)
        said = {"endpoint": self.endpoint, "region": self.region, "force-path-style": "true" if self.endpoint else ""}
        query = urlencode({name: value for name, value in said.items() if value})
        return f"{self.address(f'{line}/ltx')}?{query}"

    @property
    def litestream_environment(self) -> dict[str, str]:
        """Variables that give Litestream the secrets."""
        said = {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_SESSION_TOKEN": self.token}
        return {name: value for name, value in said.items() if value}


def parse_target(url: str, settings: Mapping[str, str] | None = None) -> Target:
    """The target of `--replica`: `file:///path` or `s3://bucket/prefix`. `settings` is read by the names in SETTINGS.

    Raises:
        SteadyError: `invalid` for another address, and for a bucket without credentials.
    """
    scheme, separator, rest = url.partition("://")
    if separator and {"@", "?", "#"} & set(rest):
        raise SteadyError(
            "invalid",
            "A backup target has no password, “?” or “#”. Put credentials into the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or into the file of --replica-credentials.",
        )
    host, _, path = rest.partition("/")
    if scheme == "file" and not host and path.strip("/"):
        return Target(TargetKind.FILE, path=_folder(f"/{unquote(path)}"))
    if scheme == "s3" and host:
        return _bucket(host, path.strip("/"), settings or {})
    raise SteadyError("invalid", f"“{url}” is not a backup target. Write file:///path or s3://bucket/prefix.")


def parse_credentials(text: str, name: str) -> dict[str, str]:
    """The settings in a credentials file: lines `aws_access_key_id = …`, with or without a heading `[default]`.

    Raises:
        SteadyError: `invalid` with `name` and, where it is known, the line; never with what stands there.
    """
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(text if re.search(r"^\s*\[", text, re.MULTILINE) else f"[default]\n{text}")
    except configparser.Error as error:
        raise SteadyError("invalid", f"{name} cannot be read: {_why(error)}. {_example()}") from None
    if not parser.has_section("default"):
        raise SteadyError("invalid", f"{name} has no [default]. {_example()}")
    said = {key.upper(): value for key, value in parser.items("default")}
    found = {key if key in SETTINGS else f"AWS_{key}": value for key, value in said.items()}
    if "AWS_ACCESS_KEY_ID" not in found or "AWS_SECRET_ACCESS_KEY" not in found:
        raise SteadyError("invalid", f"{name} lacks a key. {_example()}")
    return {key: value for key, value in found.items() if key in SETTINGS}


# Private


def _folder(path: str) -> Path:
    if "\0" in path or ".." in path.split("/"):
        raise SteadyError("invalid", "The folder of a backup target is an absolute path without “..”.")
    return Path(path)


def _bucket(bucket: str, prefix: str, settings: Mapping[str, str]) -> Target:
    if not BUCKET.fullmatch(bucket) or ".." in bucket:
        raise SteadyError("invalid", f"“{bucket}” is not a bucket's name: 3 to 63 of a-z, 0-9, “-” and “.”.")
    dotted = {".", ".."} & set(prefix.split("/"))
    if prefix and (dotted or len(prefix) > PREFIX_CHARACTERS_MAX or not PREFIX.fullmatch(prefix)):
        raise SteadyError("invalid", f"“{prefix}” cannot begin a key: letters, digits and !_.'()=+- between slashes.")
    key_id, secret = settings.get("AWS_ACCESS_KEY_ID", ""), settings.get("AWS_SECRET_ACCESS_KEY", "")
    if not key_id or not secret:
        raise SteadyError(
            "invalid",
            f"s3://{bucket} needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, "
            "or a file with both: --replica-credentials FILE.",
        )
    endpoint = settings.get("AWS_ENDPOINT_URL_S3") or settings.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", endpoint):
        raise SteadyError("invalid", "AWS_ENDPOINT_URL is the store's address, such as https://s3.example.com.")
    return Target(
        TargetKind.S3,
        bucket=bucket,
        prefix=prefix,
        endpoint=endpoint.rstrip("/"),
        region=settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        key_id=key_id,
        secret=secret,
        token=settings.get("AWS_SESSION_TOKEN", ""),
    )


def _why(error: configparser.Error) -> str:
    """configparser's own words quote the line, and the line may be a secret."""
    lines = [number for number, _ in getattr(error, "errors", [])] or [getattr(error, "lineno", 0) or 0]
    return f"line {lines[0]} is no “name = value”"


def _example() -> str:
    return "Write aws_access_key_id = … and aws_secret_access_key = …, each in a line of its own."
