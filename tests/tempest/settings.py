# SPDX-License-Identifier: Apache-2.0

"""What Tempest has to know of a cloud: the sections of its tempest.conf."""

from collections.abc import Mapping
import pathlib

from tests.cloud.config_files import Section
from tests.cloud.info import CloudInfo


def sections(
    info: CloudInfo, directory: pathlib.Path
) -> Mapping[str, Section]:
    """Return the sections for a cloud of ours.

    :param info: the cloud
    :param directory: where Tempest may write its log and locks
    """
    admin = info.admin
    assert admin is not None, 'Tempest makes the users of its tests'
    return {
        # A failure comes with its requests all the same.
        'DEFAULT': {'log_file': directory / 'tempest.log'},
        'auth': {
            'admin_username': admin.username,
            'admin_password': admin.password,
            'admin_project_name': admin.project_name,
            'admin_domain_name': admin.project_domain_name,
            # Of users who may have an account in Swift.
            'tempest_roles': 'swiftoperator',
            'create_isolated_networks': False,
        },
        'identity': {'uri_v3': info.auth_url, 'region': info.region},
        'service_available': {
            'cinder': True,
            'swift': True,
            # Two classes want a network to be there, for the servers of a
            # few of their tests; nothing is asked of it.
            'neutron': True,
            'nova': False,
            'glance': False,
        },
        'enforce_scope': {'cinder': True},
        'volume': {'backup_driver': 'swift', 'max_microversion': 'latest'},
        'volume-feature-enabled': {
            'backup': True,
            'snapshot': True,
            'concurrency_tests': True,
        },
        'oslo_concurrency': {'lock_path': directory / 'locks'},
    }
