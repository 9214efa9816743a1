"""What looks like a key, a password or a token, whoever has written it."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import public
from .public import PLAIN

LEFT_OUT = public.LEFT_OUT.encode()
KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
ENDED_KEY = re.compile(
    rb"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL
)  # its beginning was cut off
# A private key in base64, on one line or on several. Certificates, public keys and lists of revoked ones begin alike.
ENCODED_KEY = re.compile(
    rb"LS0tLS1CRUdJTi(?!BDRVJU|BQVUJM|BYNTA5)[\w+/-]*={0,2}"
    rb"(?:(?:\s|\\+[nr])+[\w+/-]{16,}={0,2}(?=\s|\\|[\"',]|\Z))*(?:(?:[ \t\r\n]|\\+[nr])+[\w+/-]{1,15}={0,2}(?=[ \t]*[\r\n\\\"']|\Z))?"
)
# Parts of names whose values are secret.
WORDS = (
    b"password passwd passphrase passcode pwd token secret credential authorization cookie apikey api_key api-key _pass _auth"
    b" masterauth requirepass dsn dburl db_url connectionstring connection_string connection-string hmac_key hmackey"
    b" privatekey private_key private-key accesskey access_key access-key accountkey account_key signingkey signing_key"
    b" encryptionkey encryption_key encryption-key sharedkey shared_key authkey auth_key auth-key masterkey master_key"
).split()
# Not Kubernetes' secretName, which is the name of an object.
SECRETIVE = rb"(?i:(?!secretname\b)(?:" + b"|".join(re.escape(word) for word in WORDS) + rb"))[\w-]{0,64}"
NAMED = rb"[\w-]{0,64}?" + SECRETIVE
NAME = re.compile(NAMED)
QUOTED = rb"(?:(?P<q>[\"'])(?P<value>(?:\\.|(?!(?P=q)).)*)(?P=q)|(?P<e>\\+[\"'])(?P<inside>.*?)(?P=e))"
HEAD = rb"(?P<head>" + SECRETIVE + rb"\\*[\"']?[ \t]*[:=]+[ \t]*(?!\(left out\)))"
ANY = rb"(?P<value>[^\s\"']\S*|[\"'][^\r\n]*)"
TOKENS = (
    b"eyJ gho_ ghp_ ghr_ ghs_ ghu_ github_pat_ glpat- xox AKIA ASIA AIza sk- sk_ npm_ pypi- dckr_pat_ hvs. hf_".split()
)
# A variable of a Kubernetes object, in JSON, in YAML and as Go prints it. It may take two lines.
ENTRY = re.compile(
    rb"(?P<head>\b[nN]ame\\*\"?:\s{0,40}\\*[\"']?" + NAMED + rb"\\*[\"']?,?\s{0,80}\\*\"?[vV]alue\\*\"?:[ \t]*)"
    rb"(?P<value>\\*\"(?:\\.|[^\"])*\"|[^\n}]+)"
)
# What a line must have, in lower case, and what is then looked for in it.
HIDDEN = tuple(
    (gates, re.compile(pattern))
    for gates, pattern in (
        # NAME="...", "NAME": "...", NAME: '...', the same within JSON within JSON
        (WORDS, HEAD + QUOTED),
        # A line of an environment, of YAML, or of `kubectl describe`: up to its end.
        (
            WORDS,
            rb"^(?P<head>[ \t]*(?:- |export |set |-e |\S{1,99} \d{4}-\d\d-\d\dT[\d:.]+Z )?"
            + NAMED
            + rb"[ \t]*[:=][ \t]*(?!\(left out\)))(?P<value>[^\s\"'][^\r\n]*)",
        ),
        (WORDS, HEAD + ANY),
        # --password x, requirepass x, -H "Authorization: Bearer x", IDENTIFIED BY 'x'
        (
            [*WORDS, b"identified"],
            rb"(?P<head>(?:(?<!\S)--?" + NAMED + rb"|\brequirepass|\bmasterauth|(?i:\bidentified +by))[ =]+)" + ANY,
        ),
        (
            [b"bearer", b"basic", b"digest", b"negotiate"],
            rb"(?P<head>\b(?i:bearer|basic|digest|negotiate) +)(?P<value>[\w+/=.~-]{8,})",
        ),
        (
            [b"authorization", b"cookie", b"x-"],
            rb"(?P<head>(?i:authorization|cookie|x-[\w-]{0,64}(?:key|token|auth))\\*\"?: *)(?P<value>[^\r\n\"]+)",
        ),
        ([b"-u", b"--user"], rb"(?P<head>(?<!\S)(?:-u|--user)[ =]?[\w.@-]{1,64}:)(?P<value>\S+)"),
        # https://user:password@host, user:password@tcp(host:3306)/db
        (
            [b"://"],
            rb"(?P<head>://[^/\s:@\"']{0,256}:)(?P<value>[^\s\"'/]{1,512}|(?!\d+/)[^\s\"']{1,512}?)(?P<tail>@)",
        ),
        (
            [b"@tcp", b"@unix", b"@udp", b"@("],
            rb"(?P<head>(?<![\w.%+-])[\w.%+-]{1,256}:)(?P<value>[^\s\"'(]{1,512})(?P<tail>@(?:tcp6?|unix|udp)?\()",
        ),
        # https://token@host, and what signs an address
        ([b"://"], rb"(?P<head>://)(?P<value>[^/\s:@\"'()]{8,512})(?P<tail>@)"),
        (
            [b"="],
            rb"(?P<head>[?&](?i:sig|signature|key|auth|code|x-amz-[\w-]{1,40}|access_key|apikey)=)(?P<value>[^&\s\"']+)",
        ),
        # What tells by its shape that it is a token: JWT, GitHub, GitLab, Slack, AWS, Google, OpenAI, npm, PyPI, Docker
        (
            [token.lower() for token in TOKENS],
            rb"(?P<head>)(?P<value>\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*|\b(?:gh[opusr]|github_pat)_\w{16,}|\bglpat-[\w-]{16,}"
            rb"|\bxox[abeprs]-[\w-]{8,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{20,}|\bsk[-_][\w-]{16,}|\bnpm_\w{20,}"
            rb"|\bpypi-[\w-]{20,}|\bdckr_pat_[\w-]{16,}|\bhvs\.[\w-]{16,}|\bhf_\w{20,})",
        ),
    )
)


def scrub(data: bytes, may_appear: Callable[[str], bool] = lambda _: False) -> bytes:
    """Returns data with LEFT_OUT in place of private keys and of what looks like a password or a token.

    may_appear: tells of a value whether it is public.
    """

    def instead(match: re.Match) -> bytes:
        groups = match.groupdict()
        value = next((groups[name] for name in ("value", "inside") if groups.get(name) is not None), b"")
        text = value.decode(errors="replace").strip().strip("\"',")
        if text.lower() in PLAIN or may_appear(text):
            return match[0]
        mark = groups.get("q") or groups.get("e") or (b'"' if value[:1] == b'"' and value[-1:] == b'"' else b"")
        return groups["head"] + mark + LEFT_OUT + mark + (groups.get("tail") or b"")

    data = ENCODED_KEY.sub(LEFT_OUT, KEY.sub(LEFT_OUT, data))
    if b"PRIVATE KEY-----" in data:
        data = ENDED_KEY.sub(LEFT_OUT, data)
    return b"".join(scrubbed(line, instead) for line in ENTRY.sub(instead, data).splitlines(keepends=True))


def scrubbed(line: bytes, instead: Callable[[re.Match], bytes]) -> bytes:
    """Returns a line without what HIDDEN finds. instead: what takes the place of a match."""
    lower = line.lower()
    for gates, pattern in HIDDEN:
        if any(gate in lower for gate in gates):
            line = pattern.sub(instead, line)
    return line
