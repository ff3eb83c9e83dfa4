# SPDX-License-Identifier: Apache-2.0

"""``report``: a page that shows whether all is well, to look at or to mail."""

import argparse
import os

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import output_files
from cinder_swift_backup.cli import report_page
from cinder_swift_backup.cli import staleness
from cinder_swift_backup.engine.survey import verified


class Report(output_files.FileCommand):
    """Write an HTML page about all volumes and their backups.

    It shows how old the newest complete backup of each volume is, a timeline
    of all backups, what is stale or damaged, and how much is stored. The page
    is one file without scripts, and loads nothing else, so you can mail it.
    The exit code does not tell whether all is well: see "list --stale-after"
    and "verify". The command replaces FILE in one step; if something fails,
    FILE stays as it was.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--stale-after', type=staleness.limit, metavar='AGE',
            default='36h',
            help='call a volume stale if it has no complete backup that is '
                 'younger than AGE (default: %(default)s). With Cinder, only '
                 'volumes that Cinder lists can be stale, and none created '
                 'since then')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        options = self.login
        text, limit = parsed_args.stale_after
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage = survey.everything(observer)
            place = self.place(survey)
            volumes = cinder_api.volumes(options, os.environ,
                                         parsed_args.patience)
            page = report_page.render(report_page.Page(report_page.Subject(
                place, lineage, volumes,
                verified.Verified(survey.repository, lineage,
                                  lineage.backups), limit, text)))
        self.write(parsed_args.file, page)
