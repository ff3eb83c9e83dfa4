# SPDX-License-Identifier: Apache-2.0

"""Asks Cinder for its records, and tells the user where that cannot be."""

import os

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import deletion


def read(command: commands.AccountCommand, patience: float, *,
         required: bool) -> deletion.Records | None:
    """What Cinder knows; None if it is not there.

    :param required: whether it has to be asked if it is there
    """
    options = command.login
    try:
        records = cinder_api.read(options, os.environ, patience)
    except exceptions.ConfigurationError as err:
        if required:
            raise
        command.say(errors.line_of(err))
        return None
    if records is None:
        command.say('This login has no Cinder, so no records were checked.')
    return records
