# SPDX-License-Identifier: Apache-2.0

"""The diagrams of the documentation are those of their texts."""

from oslotest import base

from tests import diagrams


class DiagramsTestCase(base.BaseTestCase):
    """Each one, without Graphviz."""

    def test_drawn_from_what_is_there(self):
        sources = sorted(diagrams.DIRECTORY.glob('*.dot'))
        self.assertNotEqual([], sources)
        for source in sources:
            drawn = source.with_suffix('.svg').read_text()
            self.assertTrue(drawn.endswith(diagrams.stamp(source)),
                            f'{source.name}: run "tox -e diagrams"')
