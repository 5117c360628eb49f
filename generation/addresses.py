"""Which model-server addresses may be used at all (pure: no network, no Django).

Client profiles go only to servers of the group itself. An address is therefore accepted only
when it is loopback, private (RFC 1918, unique local IPv6) or carrier-grade NAT; public ones need
the setting that allows them. Link-local, metadata, multicast, unspecified and transition
addresses (which carry another address inside) are never accepted, whatever the setting says.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(ValueError):
    """The address may not be used; the message is one sentence for the person who entered it."""


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Not ipaddress.is_private: that also says yes to 0.0.0.0/8, documentation and benchmark ranges.
OWN_NETWORKS = _networks(
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "100.64.0.0/10",
)
NEVER_NETWORKS = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "fe80::/10",
    "fec0::/10",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    # Metadata services of clouds outside link-local: AWS over IPv6, Alibaba, Azure's wire server.
    "fd00:ec2::/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
)

SPECIAL_USE = "is set aside for special use (link-local, metadata or the like); give another"
OUTSIDE = "is outside the private networks, and public model servers are switched off"

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?")
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True)
class BaseUrl:
    """A checked base address. `root` has no trailing slash and no /v1; `api` is root + /v1."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    root: str
    literal: IPAddress | None

    @property
    def api(self) -> str:
        return f"{self.root}/v1"


def parse_base_url(url: str) -> BaseUrl:
    """Read a base address, with or without a trailing /v1; no name is looked up.

    Raises AddressRefused with one sentence. The sentence never repeats the address as typed,
    because it may hold a password.
    """
    parts, port = _split(url)
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    host, literal = _read_host(parts.netloc)
    path = _read_path(parts.path)
    port = port or (443 if scheme == "https" else 80)
    shown = f"[{host}]" if isinstance(literal, ipaddress.IPv6Address) else host
    return BaseUrl(scheme, host, port, f"{scheme}://{shown}:{port}{path}", literal)


def _split(url: str) -> tuple[SplitResult, int | None]:
    # urlsplit drops tabs and line ends without a word, so they are looked for first.
    if not url or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise AddressRefused(
            "The address must be plain ASCII without spaces, backslashes or control characters,"
            " for example http://10.0.0.5:8000/v1."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("The address has a host or port that cannot be read.") from None
    if parts.scheme not in {"http", "https"} or not url[len(parts.scheme) :].startswith("://"):
        raise AddressRefused("The address must begin with http:// or https://.")
    if "@" in parts.netloc:
        raise AddressRefused("The address must not contain a user name or password.")
    if "?" in url or "#" in url:
        raise AddressRefused("The address must not contain '?' or '#'; leave out what follows.")
    if port == 0:
        raise AddressRefused("The address names port 0; give the port the server listens on.")
    return parts, port


def _read_host(netloc: str) -> tuple[str, IPAddress | None]:
    if netloc.startswith("["):
        bracketed = _BRACKETED.fullmatch(netloc)
        literal = _read_ipv6(bracketed[1] if bracketed else "")
        return str(literal), literal
    host = netloc.partition(":")[0].lower()
    labels = host.split(".")
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise AddressRefused("The address has no host name that can be used.")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return host, None
    # A host that ends in a number is an IPv4 address to every resolver, also as 127.1,
    # 0x7f000001 or 017700000001: only the plain four-number form is taken.
    try:
        literal4 = ipaddress.IPv4Address(host)
    except ValueError:
        raise AddressRefused(
            "The address writes its host as a number in an unusual form; use four decimal"
            " numbers such as 10.0.0.5, or a name."
        ) from None
    return str(literal4), literal4


def _read_ipv6(text: str) -> ipaddress.IPv6Address:
    if "%" in text:
        raise AddressRefused("The address names a network interface (%); leave it out.")
    try:
        literal = ipaddress.IPv6Address(text)
    except ValueError:
        raise AddressRefused("The address has an IPv6 host that cannot be read.") from None
    if literal.ipv4_mapped is not None:
        raise AddressRefused(
            "The address hides an IPv4 address inside an IPv6 one; give the IPv4 address."
        )
    return literal


def _read_path(path: str) -> str:
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise AddressRefused("The address has a path that cannot be used; end it with /v1.")
    path = path.rstrip("/")
    return path.removesuffix("/v1")


def ip_refusal(ip: IPAddress, *, allow_public: bool) -> str | None:
    """Why this one address is not used, as the end of a sentence, or None when it may be."""
    if _within(ip, NEVER_NETWORKS) or ip.is_multicast or ip.is_unspecified:
        return SPECIAL_USE
    if _within(ip, OWN_NETWORKS):
        return None
    if ip.is_reserved or not ip.is_global:
        return SPECIAL_USE
    if allow_public:
        return None
    return OUTSIDE


def check_addresses(host: str, found: Iterable[str], *, allow_public: bool) -> None:
    """Refuse `host` unless every address found for it may be used.

    One bad address refuses them all: a name that has a public address beside a private one
    decides for itself which of the two receives the profiles. Raises AddressRefused.
    """
    texts = list(found)
    if not texts:
        raise AddressRefused(f"The host {host} has no address; check its name.")
    for text in texts:
        try:
            ip = ipaddress.ip_address(text)
        except ValueError:
            raise AddressRefused(f"The host {host} has an address that cannot be read.") from None
        why = ip_refusal(ip, allow_public=allow_public)
        if why:
            leads = "" if host == str(ip) else f" leads to {ip}, which"
            raise AddressRefused(f"The host {host}{leads} {why}.")


def _within(ip: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(ip.version == network.version and ip in network for network in networks)
