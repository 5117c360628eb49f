"""The address policy: which model servers may be named, and which may be connected to."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.addresses import AddressRefused, check_addresses, ip_refusal, parse_base_url
from generation.vllm import check_address

OWN = [
    "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:8000",
    "http://127.0.0.1:8000/",
    "http://127.0.0.1:8000/v1/",
    "HTTP://127.0.0.1:8000/v1",
    "http://127.255.255.254:1",
    "http://[::1]:8000/v1",
    "http://[0:0:0:0:0:0:0:1]:8000",
    "https://10.0.0.5",
    "http://10.255.255.255:65535/v1",
    "http://172.16.0.1/v1",
    "http://172.31.255.255/v1",
    "http://192.168.178.20:8000/v1",
    "http://100.64.0.1/v1",
    "http://100.127.255.255/v1",
    "http://[fd12:3456:789a::1]:8000/v1",
    "http://[fc00::1]/v1",
    "http://10.0.0.5:8000/models/llama_3.1/v1",
    "http://localhost:8000/v1",
]
PUBLIC = [
    "http://8.8.8.8/v1",
    "https://1.1.1.1",
    "http://172.32.0.1/v1",
    "http://172.15.255.255/v1",
    "http://100.128.0.1/v1",
    "http://11.0.0.1/v1",
    "http://193.168.0.1/v1",
    "http://128.0.0.1/v1",
    "http://[2606:4700:4700::1111]/v1",
]
NEVER = [
    "http://0.0.0.0:8000/v1",
    "http://0.1.2.3/v1",
    "http://169.254.169.254/latest",
    "http://169.254.1.1/v1",
    "http://100.100.100.200/v1",
    "http://168.63.129.16/v1",
    "http://192.0.2.1/v1",
    "http://198.18.0.1/v1",
    "http://224.0.0.1/v1",
    "http://240.0.0.1/v1",
    "http://255.255.255.255/v1",
    "http://[::]:8000/v1",
    "http://[fe80::1]/v1",
    "http://[fec0::1]/v1",
    "http://[ff02::1]/v1",
    "http://[fd00:ec2::254]/v1",
    "http://[64:ff9b::7f00:1]/v1",
    "http://[2002:7f00:1::]/v1",
    "http://[2001:0:7f00:1::]/v1",
    "http://[2001:db8::1]/v1",
]
MALFORMED = [
    "",
    "127.0.0.1:8000",
    "localhost:8000/v1",
    "//127.0.0.1/v1",
    "http:127.0.0.1/v1",
    "http:///v1",
    "ftp://127.0.0.1/v1",
    "file:///etc/passwd",
    "unix:///run/vllm.sock",
    "javascript://127.0.0.1/%0aalert(1)",
    "http://user:pass@127.0.0.1/v1",
    "http://127.0.0.1@8.8.8.8/v1",
    "http://8.8.8.8#@127.0.0.1/v1",
    "http://8.8.8.8\\@127.0.0.1/v1",
    "http://127.0.0.1/v1?key=1",
    "http://127.0.0.1/v1?",
    "http://127.0.0.1/v1#x",
    "http://127.0.0.1/v1#",
    "http://127.0.0.1:0/v1",
    "http://127.0.0.1:65536/v1",
    "http://127.0.0.1:80:90/v1",
    "http://127.0.0.1:+80/v1",
    "http://127.0.0.1:8 0/v1",
    "http://127.0.0.1/v1\n",
    " http://127.0.0.1/v1",
    "http://127.0.\t0.1/v1",
    "http://127.0.0.1/../v1",
    "http://127.0.0.1/./v1",
    "http://127.0.0.1//v1",
    "http://127.0.0.1/%2e%2e/v1",
    "http://127.0.0.1/a b",
    "http://2130706433/v1",
    "http://0x7f000001/v1",
    "http://0x7f.0.0.1/v1",
    "http://017700000001/v1",
    "http://0177.0.0.1/v1",
    "http://127.1/v1",
    "http://127.0.1/v1",
    "http://127.0.0.1.5/v1",
    "http://127.0.0.01/v1",
    "http://127.0.0.256/v1",
    "http://127.0.0.1./v1",
    "http://10.0.0.0x5/v1",
    "http://name.0x/v1",
    "http://①②⑦.⓪.⓪.①/v1",
    "http://bücher.example/v1",
    "http://[::ffff:127.0.0.1]/v1",
    "http://[::ffff:7f00:1]/v1",
    "http://[::1%25lo]/v1",
    "http://[fe80::1%eth0]/v1",
    "http://[::1]x:80/v1",
    "http://x[::1]:80/v1",
    "http://[::1/v1",
    "http://[127.0.0.1]/v1",
    "http://[v1.fe]/v1",
    "http://-host/v1",
    "http://host-/v1",
    "http://a..b/v1",
    "http://.host/v1",
    "http://host./v1",
    "http://" + "a" * 64 + "/v1",
    "http://" + "a." * 127 + "aa/v1",
    "http://*/v1",
    "http://ho%73t/v1",
]


def test_addresses_table_is_long_enough() -> None:
    assert len(OWN + PUBLIC + NEVER + MALFORMED) >= 40


@pytest.mark.parametrize("url", OWN)
def test_check_address_takes_own_networks(url: str) -> None:
    check_address(url)
    check_address(url, allow_public=True)


@pytest.mark.parametrize("url", PUBLIC)
def test_check_address_takes_public_only_when_allowed(url: str) -> None:
    with pytest.raises(AddressRefused, match="outside the private networks"):
        check_address(url)
    check_address(url, allow_public=True)


@pytest.mark.parametrize("allow_public", [False, True])
@pytest.mark.parametrize("url", NEVER)
def test_check_address_never_takes_special_use(url: str, allow_public: bool) -> None:
    with pytest.raises(AddressRefused, match="special use"):
        check_address(url, allow_public=allow_public)


@pytest.mark.parametrize("allow_public", [False, True])
@pytest.mark.parametrize("url", MALFORMED)
def test_check_address_refuses_malformed_with_one_sentence(url: str, allow_public: bool) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_address(url, allow_public=allow_public)
    sentence = str(caught.value)
    assert re.fullmatch(r"The (address|host) [^\n]*\.", sentence)
    assert "pass@" not in sentence


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("https://gpu-1.lab:8443/v1", "https://gpu-1.lab:8443"),
        ("https://GPU-1.lab", "https://gpu-1.lab:443"),
        ("http://gpu/llama/v1", "http://gpu:80/llama"),
        ("http://gpu/v1/v1", "http://gpu:80/v1"),
        ("http://[::1]/v1", "http://[::1]:80"),
    ],
)
def test_parse_base_url_normalises(url: str, root: str) -> None:
    base = parse_base_url(url)
    assert (base.root, base.api) == (root, f"{root}/v1")


def test_parse_base_url_reads_its_own_output() -> None:
    for url in OWN:
        once = parse_base_url(url)
        assert parse_base_url(once.api) == once


def test_check_addresses_refuses_a_name_with_one_public_address() -> None:
    with pytest.raises(AddressRefused, match=r"^The host gpu leads to 8\.8\.8\.8, which is out"):
        check_addresses("gpu", ["10.0.0.1", "8.8.8.8"], allow_public=False)


def test_check_addresses_refuses_a_mapped_address_from_the_name_service() -> None:
    with pytest.raises(AddressRefused, match="special use"):
        check_addresses("gpu", ["::ffff:10.0.0.1"], allow_public=True)


@pytest.mark.parametrize("found", [[], ["not an address"]])
def test_check_addresses_refuses_what_it_cannot_read(found: list[str]) -> None:
    with pytest.raises(AddressRefused, match=r"^The host gpu has"):
        check_addresses("gpu", found, allow_public=True)


def test_check_address_says_when_a_name_is_unknown() -> None:
    with pytest.raises(AddressRefused) as caught:
        check_address("http://no-such-host.invalid:8000/v1")
    assert str(caught.value) == "The host no-such-host.invalid cannot be found; check its name."


@given(st.integers(0, 2**32 - 1))
def test_ip_refusal_public_switch_only_widens(number: int) -> None:
    ip = ipaddress.IPv4Address(number)
    closed, opened = (ip_refusal(ip, allow_public=allowed) for allowed in (False, True))
    assert closed is not None or opened is None
    assert closed is not None or ip.is_private or ip in ipaddress.ip_network("100.64.0.0/10")
    assert opened is not None or ip.is_global or closed is None


@given(st.text(max_size=60))
def test_parse_base_url_never_fails_otherwise(text: str) -> None:
    for url in (text, f"http://{text}", f"http://127.0.0.1{text}"):
        try:
            base = parse_base_url(url)
        except AddressRefused:
            continue
        assert re.fullmatch(r"https?://[a-z0-9._:\[\]-]+:\d+(/[A-Za-z0-9._~/-]+)?", base.root)
