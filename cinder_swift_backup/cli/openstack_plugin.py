# SPDX-License-Identifier: Apache-2.0

"""Offers our commands through the "openstack" command, too.

It finds this module by the entry point ``openstack.cli.extension``, and the
commands by those of ``openstack.backup_store.v1``: "openstack backup store
list" is "cinder-swift-backup list". It logs in as for all its commands.
"""

import argparse

API_NAME = 'backup_store'
API_VERSION_OPTION = 'os_backup_store_api_version'
DEFAULT_API_VERSION = '1'
API_VERSIONS = ('1',)


def make_client(instance: object) -> None:
    """There is no client: the commands log in for themselves."""


def build_option_parser(
        parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """There are no global options besides those of all commands."""
    return parser
