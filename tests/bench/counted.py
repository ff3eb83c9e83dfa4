# SPDX-License-Identifier: Apache-2.0

"""Runs the command, and prints as JSON what that took.

``python FILE list --container x`` prints the number of rows, of requests to
Swift, and of seconds. It needs nothing but the package itself, so that it can
run any version of that.
"""

import io
import json
import sys
import time
from unittest import mock

from swiftclient import client

from cinder_swift_backup.cli import app


def main() -> None:
    """Do as the command line says."""
    sent: list[object] = []
    request = client.HTTPConnection.request

    def counted(*arguments: object, **options: object) -> object:
        sent.append(arguments[1])
        return request(*arguments, **options)

    out, err = io.StringIO(), io.StringIO()
    begin = time.monotonic()
    with mock.patch.object(client.HTTPConnection, 'request', counted):
        code = app.Shell(stdout=out, stderr=err).run(
            [*sys.argv[1:], '-f', 'json'])
    seconds = time.monotonic() - begin
    if code:
        sys.exit(err.getvalue())
    print(json.dumps({'rows': len(json.loads(out.getvalue())),
                      'requests': len(sent), 'seconds': seconds}))


if __name__ == '__main__':
    main()
