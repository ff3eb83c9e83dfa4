# SPDX-License-Identifier: Apache-2.0

"""Where a cloud is and how to log in: the value that everything passes on.

A started cloud writes it to a file; the environment variable ``CSB_CLOUD``
names that file, and :meth:`CloudInfo.from_environment` reads it in the test
processes.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
from typing import Any

VARIABLE = 'CSB_CLOUD'
EXTERNAL_VARIABLE = 'CSB_EXTERNAL_CLOUD'


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What a user logs in to Keystone with, and to which project."""

    username: str
    password: str
    project_name: str
    user_domain_name: str = 'Default'
    project_domain_name: str = 'Default'


@dataclasses.dataclass(frozen=True)
class V1Credentials:
    """What a user logs in with to Swift's own authentication, version 1."""

    auth_url: str
    username: str
    password: str


@dataclasses.dataclass(frozen=True)
class CloudInfo:
    """Addresses and credentials of one cloud.

    What an external cloud does not tell is None.

    * ``admin`` is the administrator in the project ``admin``, who may also
      log in to the projects of the ordinary users, as one has to who imports
      a backup record for them;
    * ``demo`` and ``other`` are ordinary users who may use Swift, in
      projects of their own;
    * ``cinder`` is the service user, with the roles ``service``, ``admin``
      and ``ResellerAdmin``;
    * ``v1`` is the user of Swift's built-in authentication, and
      ``v1_unicode`` another one, whose name and key are not ASCII;
    * ``ceph_directory`` is where the Ceph is that volumes are in, or
      ``volume_group`` the group; they are files in ``volumes_directory`` if
      there is neither;
    * ``objects`` is what stores objects, ``swift`` or ``rgw``.
    """

    auth_url: str
    region: str
    demo: Credentials
    admin: Credentials | None = None
    other: Credentials | None = None
    cinder: Credentials | None = None
    v1: V1Credentials | None = None
    v1_unicode: V1Credentials | None = None
    swift_url: str | None = None
    cinder_url: str | None = None
    concurrency: str | None = None
    directory: pathlib.Path | None = None
    volumes_directory: pathlib.Path | None = None
    ceph_directory: pathlib.Path | None = None
    volume_group: str | None = None
    objects: str = 'swift'

    def os_environment(self, credentials: Credentials) -> dict[str, str]:
        """Return the ``OS_*`` variables that log a client in."""
        return {
            'OS_AUTH_URL': self.auth_url,
            'OS_REGION_NAME': self.region,
            'OS_USERNAME': credentials.username,
            'OS_PASSWORD': credentials.password,
            'OS_PROJECT_NAME': credentials.project_name,
            'OS_USER_DOMAIN_NAME': credentials.user_domain_name,
            'OS_PROJECT_DOMAIN_NAME': credentials.project_domain_name,
            'OS_IDENTITY_API_VERSION': '3',
        }

    def save(self, path: pathlib.Path) -> None:
        """Write the value to a file as JSON."""
        path.touch(mode=0o600)
        fields = dataclasses.asdict(self)
        path.write_text(json.dumps(fields, default=str, indent=2))

    @classmethod
    def load(cls, path: pathlib.Path) -> 'CloudInfo':
        """Read what :meth:`save` wrote."""
        fields: dict[str, Any] = json.loads(path.read_text())
        for name in ('demo', 'admin', 'other', 'cinder'):
            fields[name] = fields[name] and Credentials(**fields[name])
        for name in ('v1', 'v1_unicode'):
            fields[name] = fields[name] and V1Credentials(**fields[name])
        for name in ('directory', 'volumes_directory', 'ceph_directory'):
            fields[name] = fields[name] and pathlib.Path(fields[name])
        return cls(**fields)

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ
    ) -> 'CloudInfo | None':
        """Return the cloud that the environment tells of.

        1. The cloud of this package that ``CSB_CLOUD`` names.
        2. Else the cloud of the ``OS_*`` variables, but only if
           ``CSB_EXTERNAL_CLOUD=1`` says that tests may write to it.
        3. Else None.
        """
        if environ.get(VARIABLE):
            return cls.load(pathlib.Path(environ[VARIABLE]))
        if environ.get(EXTERNAL_VARIABLE) == '1' and 'OS_AUTH_URL' in environ:
            return cls._external(environ)
        return None

    @classmethod
    def _external(cls, environ: Mapping[str, str]) -> 'CloudInfo':
        """Build the value from the ``OS_*`` variables."""
        user = Credentials(
            environ['OS_USERNAME'],
            environ['OS_PASSWORD'],
            environ['OS_PROJECT_NAME'],
            environ.get('OS_USER_DOMAIN_NAME', 'Default'),
            environ.get('OS_PROJECT_DOMAIN_NAME', 'Default'),
        )
        region = environ.get('OS_REGION_NAME', 'RegionOne')
        return cls(environ['OS_AUTH_URL'], region, user)
