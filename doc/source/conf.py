# SPDX-License-Identifier: Apache-2.0

"""How Sphinx makes the documentation: ``tox -e docs``."""

project = 'cinder-swift-backup'
project_copyright = 'the cinder-swift-backup contributors'
extensions = ['openstackdocstheme', 'reno.sphinxext',
              'oslo_config.sphinxext', 'cliff.sphinxext']
html_theme = 'openstackdocs'
# Pages name no repository of the theme's.
openstackdocs_auto_name = False
openstackdocs_auto_version = False
# Blocks are what one types in a shell, if they do not say what else.
highlight_language = 'sh'
# Options begin with two hyphens, and not with a dash.
smartquotes = False
# Those of all tables, which the page of the command does not repeat.
autoprogram_cliff_ignored = [
    '--help', '--format', '--column', '--quote', '--noindent', '--max-width',
    '--fit-width', '--print-empty', '--sort-column', '--sort-ascending',
    '--sort-descending', '--variable', '--prefix']
# What the pages include, and is no page.
exclude_patterns = ['**/*.inc']
html_static_path = ['_static']
html_css_files = ['tables.css']
