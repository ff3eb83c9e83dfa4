# SPDX-License-Identifier: Apache-2.0

"""How Sphinx makes the documentation: ``tox -e docs``."""

project = 'cinder-swift-backup'
project_copyright = 'the cinder-swift-backup contributors'
extensions = ['openstackdocstheme', 'reno.sphinxext']
html_theme = 'openstackdocs'
# Pages name no repository of the theme's.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
# What the pages include, and is no page.
exclude_patterns = ['**/*.inc']
