# SPDX-License-Identifier: Apache-2.0

"""Handles of volumes, for those that fail to build on."""


class Handle:
    """What has a position and no descriptor, and does as a file does."""

    def __init__(self, file):
        self.file = file

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()

    def read(self, length):
        return self.file.read(length)

    def write(self, data):
        return self.file.write(data)

    def flush(self):
        self.file.flush()
