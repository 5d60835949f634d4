"""Who may talk to the viewer: its own page, opened under a name that no stranger can point here.

A web page from elsewhere that the operator visits runs in a browser that reaches the viewer. Two
headers, which no page can set, tell it apart:

- ``Host`` is the name in the address bar. A stranger can point a name of theirs at this machine
  (DNS rebinding), but not an IP address, ``localhost`` or the name of the machine.
- ``Origin`` is the page that asks. It must be the page of the same host and port.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from email.message import Message

_HOST = re.compile(r'(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?')
DEFAULT_PORT = 80  # of a Host header without one


def own_names() -> frozenset[str]:
    """Return the names by which this machine may be addressed, in lower case.

    mDNS knows the first label of a host name such as robot.lan, as robot.local.
    """
    name = socket.gethostname().lower()
    label = name.partition('.')[0]
    return frozenset({'localhost', name, label, f'{label}.local'})


def host_of(headers: Message) -> str:
    """Return name and port of the ``Host`` header, or '' where it is not one of this machine.

    Args:
        headers: Of a request.
    """
    hosts = headers.get_all('Host', [])
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if not match or not (_is_ip(match['name']) or match['name'].lower() in own_names()):
        return ''
    return f'{match["name"]}:{match["port"] or DEFAULT_PORT}'


def is_from_own_page(headers: Message) -> bool:
    """Tell whether a request comes from the page of its own host, or from no page.

    Args:
        headers: Of a request. A browser names the page in each request that can read an answer.
    """
    origins, host = headers.get_all('Origin', []), headers.get('Host', '').lower()
    return not origins or (len(origins) == 1 and
                           origins[0].lower() in (f'http://{host}', f'https://{host}'))


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip('[]'))
        return True
    except ValueError:
        return False
