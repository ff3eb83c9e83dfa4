# SPDX-License-Identifier: Apache-2.0

"""The Barbican process: ``python -m tests.cloud.serve_barbican PORT``.

Barbican reads its configuration when it is imported, from
``~/.barbican/barbican.conf``. It makes its tables by itself.
"""

import pathlib
import sys

from paste import deploy

from tests.cloud import wsgi


def main() -> None:
    """Serve the API until killed."""
    (port,) = sys.argv[1:]
    paste = pathlib.Path(sys.prefix, 'etc/barbican/barbican-api-paste.ini')
    application = deploy.loadapp(f'config:{paste}')
    wsgi.make_server(application, int(port)).serve_forever()


if __name__ == '__main__':
    main()
