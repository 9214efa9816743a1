"""Removes from a bundle what must not leave this machine: private keys, values that look secret, passwords in
addresses.
"""

from __future__ import annotations

import re

LEFT_OUT = b"(left out)"
KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
ENDED_KEY = re.compile(
    rb"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL
)  # its beginning was cut off
SECRETIVE = rb"[A-Z0-9_]*(?:PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|PRIVATE_?KEY)[A-Z0-9_]*"
HIDDEN = (
    (re.compile(rb"(\b" + SECRETIVE + rb"\"?[ \t]*[:=][ \t]*\"?)[^\s\",]+"), rb"\1" + LEFT_OUT),
    # An environment variable of a Kubernetes object, in JSON and in YAML.
    (
        re.compile(rb"(\bname\"?:\s*\"?" + SECRETIVE + rb"\"?,?\s*\"?value\"?:[ \t]*)(\"[^\"]*\"|[^\n]*)"),
        rb'\1"' + LEFT_OUT + b'"',
    ),
    (re.compile(rb"(://[^/\s:@]+:)[^@/\s]+@"), rb"\1" + LEFT_OUT + b"@"),
)


def scrub(data: bytes) -> bytes:
    """Returns data with LEFT_OUT in place of private keys, values of variables that look secret, and passwords in
    addresses.
    """
    data = KEY.sub(LEFT_OUT, data)
    if b"PRIVATE KEY-----" in data:
        data = ENDED_KEY.sub(LEFT_OUT, data)
    for pattern, instead in HIDDEN:
        data = pattern.sub(instead, data)
    return data
