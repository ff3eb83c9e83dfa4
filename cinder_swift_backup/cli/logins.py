# SPDX-License-Identifier: Apache-2.0

"""How one says who one is, and what is missing of that.

The options are those of all clients of OpenStack: openstacksdk knows them, and
those of the authentication that a cloud uses.

1. Before the command line is read, add these options to the parser. No option
   has a default, so that naming one cloud never mixes in another's variables.
2. Before anybody is asked, look at what was found in options, variables and
   ``clouds.yaml``. The libraries would send Keystone half a login, and report
   the error that follows as the cause.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
import urllib.parse

import openstack.config
import openstack.exceptions

from cinder_swift_backup import exceptions

# What a login has to have of some kinds of authentication, one of each tuple.
# Names are those of keystoneauth's options.
_BY_PASSWORD = (('username', 'user_id'), ('password',))
_BY_TOKEN = (('token',),)
_NEEDED = {
    'password': _BY_PASSWORD, 'v2password': _BY_PASSWORD,
    'v3password': _BY_PASSWORD,
    'token': _BY_TOKEN, 'v2token': _BY_TOKEN, 'v3token': _BY_TOKEN,
}
# Options that Swift's version 1 authentication has a use for, too.
_OF_ANY_LOGIN = ('os_region_name', 'os_cacert')
# Options of the login that would do nothing here.
_UNUSED = ('os_service_type', 'os_service_name', 'os_api_version')


def add_options(parser: argparse.ArgumentParser,
                arguments: Sequence[str]) -> None:
    """Let a command line say how to log in.

    :param arguments: the command line; which options there are depends on
        the cloud or type that it names
    :raises ConfigurationError: when there is no such type of authentication
    """
    before = _defaults(parser)
    _register(parser, list(arguments))
    parser.set_defaults(
        **dict.fromkeys(_defaults(parser).keys() - before.keys()))


def is_named(options: argparse.Namespace) -> bool:
    """Whether a command line has anything of a login of OpenStack."""
    return any(value for name, value in vars(options).items()
               if name.startswith('os_') and name not in _OF_ANY_LOGIN)


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that would do nothing.

    :raises ConfigurationError: that names one
    """
    for name in _UNUSED:
        if getattr(options, name):
            raise exceptions.ConfigurationError(
                f'--{name.replace("_", "-")} does nothing here: leave it out')


def check(config: Mapping[str, Any], cloud: str | None) -> None:
    """Refuse half a login.

    :param config: what openstacksdk knows of it; what options say is not yet
        below "auth", and wins
    :param cloud: its name in ``clouds.yaml``; None for one of variables
    :raises ConfigurationError: that says what is missing
    """
    login = {**config.get('auth', {}), **config}
    kind = str(config.get('auth_type'))
    lacking = list(_lacking(kind, login))
    if lacking and login.get('token'):
        raise exceptions.ConfigurationError(
            f'the login has a token, but its type is {kind}: set '
            'OS_AUTH_TYPE, or auth_type in clouds.yaml, to token')
    if lacking:
        raise incomplete(lacking, cloud)
    if url := login.get('auth_url'):
        check_url(str(url), 'OS_AUTH_URL' if cloud is None
                  else f'auth_url of cloud {cloud!r} in clouds.yaml')


def incomplete(names: Sequence[str],
               cloud: str | None) -> exceptions.ConfigurationError:
    """The error for a login that lacks these.

    :param cloud: as of :func:`check`
    """
    if cloud is not None:
        return exceptions.ConfigurationError(
            f'the login of cloud {cloud!r} is incomplete: add '
            f'{" and ".join(names)} in clouds.yaml')
    variables = ' and '.join(f'OS_{name.upper()}' for name in names)
    return exceptions.ConfigurationError(
        f'the login is incomplete: set {variables}, or name a cloud of '
        f'clouds.yaml with --os-cloud')


def check_url(url: str, variable: str) -> None:
    """Refuse a URL to which no request can be sent.

    :param variable: where it most likely comes from
    :raises ConfigurationError: that says what is wrong with it
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    else:
        if parts.scheme not in ('http', 'https'):
            raise exceptions.ConfigurationError(
                f'the login URL must begin with http:// or https://: '
                f'correct {variable}', detail=url)
    if not host:
        raise exceptions.ConfigurationError(
            f'the login URL is not valid: correct {variable}',
            detail=url)


def _lacking(kind: str, login: Mapping[str, Any]) -> Iterator[str]:
    return (names[0] for names in _NEEDED.get(kind, ())
            if not any(map(login.get, names)))


def _defaults(parser: argparse.ArgumentParser) -> dict[str, Any]:
    return vars(parser.parse_known_args([])[0])


def _register(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Add what openstacksdk adds.

    If there is no such cloud, or no file that can be read, the options are
    the usual ones: who needs the cloud is told later, and "help" does not.
    """
    scratch = argparse.ArgumentParser(add_help=False)
    try:
        config = openstack.config.OpenStackConfig()
        config.register_argparse_arguments(scratch, arguments)
    except Exception:
        # Files of another structure end in anything.
        config = openstack.config.OpenStackConfig(load_yaml_config=False,
                                                  load_envvars=False)
        arguments = []
    try:
        config.register_argparse_arguments(parser, arguments)
    except openstack.exceptions.ConfigException as err:
        raise exceptions.ConfigurationError(
            'unknown authentication type: correct OS_AUTH_TYPE',
            detail=str(err)) from err
