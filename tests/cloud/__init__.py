# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""A real OpenStack cloud of plain processes, for tests and for trying out.

``python -m tests.cloud --help`` starts one from the command line; tests use
the classes exported here.

The exports are resolved on first use: the processes that serve Cinder import
this package before they have monkey patched, and nothing that holds locks or
threads may be loaded by then.
"""

import importlib
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cloud.cinder import Cinder
    from tests.cloud.cloud import Cloud
    from tests.cloud.errors import CloudError
    from tests.cloud.info import CloudInfo
    from tests.cloud.info import Credentials
    from tests.cloud.info import V1Credentials

_HOMES = {
    "Cinder": "cinder",
    "Cloud": "cloud",
    "CloudError": "errors",
    "CloudInfo": "info",
    "Credentials": "info",
    "V1Credentials": "info",
}

__all__ = [
    "Cinder",
    "Cloud",
    "CloudError",
    "CloudInfo",
    "Credentials",
    "V1Credentials",
]


def __getattr__(name: str) -> Any:
    """Import an exported class from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
