"""Which addresses may be called."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress import CallFailed, Policy, parse_allow
from engine.egress.allowed_addresses import meanings

IPV4 = st.integers(0, 2**32 - 1).map(IPv4Address)
IPV6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def allows(policy: Policy, address: str | IPv4Address | IPv6Address, port: int = 443, host: str = "host.test") -> bool:
    try:
        policy.check(host, port, [ip_address(address)])
    except CallFailed as error:
        return error.code != "egress_refused" or error.sent
    return True


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_are_open(address: str) -> None:
    """A public address needs no entry."""
    assert allows(Policy(), address)


# fmt: off
PRIVATE = (  # noqa: SIM905
    "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 192.0.0.8 192.88.99.1 198.18.0.1 203.0.113.9 240.0.0.1 "
    "fc00::1 fd12::1 fec0::1 2002:808:808::1 64:ff9b::808:808 64:ff9b:1::a00:1 3fff::1 5f00::1 2001:db8::1 "
    "2001:2::1 100::1 4000::1 ::ffff:10.0.0.1 ::808:808"
).split()
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
NEVER = (  # noqa: SIM905
    "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254 fe80::1 "
    "0.0.0.0 0.1.2.3 :: 224.0.0.1 255.255.255.255 ff02::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 "
    "::ffff:0:169.254.169.254"
).split()
# fmt: on


@pytest.mark.parametrize("address", [*PRIVATE, *LOOPBACK, *NEVER])
def test_everything_inside_is_closed_by_default(address: str) -> None:
    """Private, loopback and metadata addresses are refused without an entry."""
    assert not allows(Policy(), address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_space_opens_by_cidr_and_by_host_and_port(address: str) -> None:
    """Both kinds of entry open a private address."""
    assert allows(Policy(parse_allow("0.0.0.0/0,::/0")), address)
    assert allows(Policy(parse_allow("host.test:443")), address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_opens_by_exact_host_and_port_only(address: str) -> None:
    """No CIDR reaches loopback, and another port or another name does not either."""
    assert not allows(Policy(parse_allow("0.0.0.0/0,::/0")), address)
    exact = Policy(parse_allow("host.test:443"))
    assert allows(exact, address)
    assert not allows(exact, address, port=444)
    assert not allows(exact, address, host="other.test")


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_link_local_never_open(address: str) -> None:
    """No entry opens them, even when a permitted name resolves to them."""
    assert not allows(Policy(parse_allow("0.0.0.0/0,::/0,host.test:443")), address)


def test_one_denied_address_refuses_the_name() -> None:
    """A name with a public and a private address is refused."""
    with pytest.raises(CallFailed, match=r"host\.test \(10\.0\.0\.1\)"):
        Policy().check("host.test", 443, [ip_address("8.8.8.8"), ip_address("10.0.0.1")])


def test_own_database_is_never_called() -> None:
    """The bot's own services stay closed on every loopback address, whatever is allowed."""
    policy = Policy(parse_allow("host.test:5432,10.0.0.0/8"), own=(("db.internal", 5432),))
    assert policy.own_hosts(5432) == ("db.internal",)
    assert policy.own_hosts(443) == ()
    for target, own in [("10.0.0.5", "10.0.0.5"), ("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.1")]:
        with pytest.raises(CallFailed, match="own database"):
            policy.check("host.test", 5432, [ip_address(target)], [ip_address(own)])
    policy.check("host.test", 5432, [ip_address("10.0.0.6")], [ip_address("10.0.0.5")])


def test_a_refusal_says_what_an_operator_can_do() -> None:
    """The message names address, range and the entry that would open it, or that none does."""
    with pytest.raises(CallFailed) as private:
        Policy().check("api.internal", 8443, [ip_address("10.1.2.3")])
    assert str(private.value) == (
        "Nothing was sent: api.internal (10.1.2.3), port 8443, may not be called; "
        "it is in 10.0.0.0/8 (private network). "
        "If that is meant, an operator can add api.internal:8443 to EGRESS_ALLOW."
    )
    with pytest.raises(CallFailed, match="never allowed, whatever EGRESS_ALLOW says"):
        Policy().check("169.254.169.254", 80, [ip_address("169.254.169.254")])


@given(inner=IPV4)
def test_no_packing_of_an_ipv4_address_opens_it(inner: IPv4Address) -> None:
    """Mapped, translated, 6to4, NAT64 and compatible forms are refused whenever the address itself is."""
    number = int(inner)
    forms = [
        (0xFFFF << 32) | number,
        (0xFFFF << 48) | number,
        (0x2002 << 112) | (number << 80),
        (0x64FF9B << 96) | number,
        number,
    ]
    wide = Policy(parse_allow("0.0.0.0/0,::/0"))
    for policy in (Policy(), wide):
        if not allows(policy, inner):
            assert not any(allows(policy, IPv6Address(form)) for form in forms)


@given(address=st.one_of(IPV4, IPV6))
def test_what_is_open_is_global(address: IPv4Address | IPv6Address) -> None:
    """Our table is never more open than the standard library's."""
    if allows(Policy(), address):
        assert all(meaning.is_global and not meaning.is_multicast for meaning in meanings(address))


@given(address=st.one_of(IPV4, IPV6))
def test_entries_only_ever_open(address: IPv4Address | IPv6Address) -> None:
    """An address that is open stays open with entries."""
    if allows(Policy(), address):
        assert allows(Policy(parse_allow("10.0.0.0/8,host.test:443")), address)


def test_hosts_of_entries_are_compared_in_one_spelling() -> None:
    """Case, a trailing dot and the long form of an address make no difference; another notation does."""
    policy = Policy(parse_allow("API.Internal.:443, [FD12:0:0::1]:8443 ,127.0.0.1:443"))
    assert allows(policy, "10.0.0.1", host="api.internal")
    assert allows(policy, "10.0.0.1", host="api.internal.")
    assert allows(policy, "fd12::1", port=8443, host="fd12::1")
    assert allows(policy, "127.0.0.1", host="127.0.0.1")
    assert not allows(policy, "127.0.0.1", host="127.1")
    assert not allows(policy, "127.0.0.1", host="localhost")


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ("10.1.2.3", "host:port"),
        ("api.internal", "host:port"),
        ("*.internal:443", "wildcard"),
        ("https://api.internal:443", "CIDR"),
        ("api.internal:0", "port"),
        ("api.internal:http", "port"),
        ("api.internal:65536", "port"),
        ("::1:80", "brackets"),
        ("10.1.2.3/8", "did you mean 10.0.0.0/8"),
        ("10.0.0.0/33", "CIDR"),
        ("127.0.0.0/8", "exact host:port"),
        ("127.0.0.1/32", "exact host:port"),
        ("::1/128", "exact host:port"),
        ("169.254.0.0/16", "never opens"),
        ("169.254.169.254:80", "never opens"),
        ("[fd00:ec2::254]:80", "never opens"),
        ("[name]:80", "name or an address"),
    ],
)
def test_wrong_entries_are_named(entry: str, word: str) -> None:
    """Each wrong entry is quoted with what is wrong about it."""
    with pytest.raises(ValueError, match=word) as error:
        parse_allow(f"10.0.0.0/8,{entry}")
    assert repr(entry) in str(error.value)


@given(text=st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Reading entries never raises anything but ValueError."""
    with contextlib.suppress(ValueError):
        assert all(entry.network is not None or 1 <= entry.port <= 65535 for entry in parse_allow(text))
