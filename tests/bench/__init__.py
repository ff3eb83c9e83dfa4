# SPDX-License-Identifier: Apache-2.0

"""How fast and how frugal the driver is, beside the stock driver.

``tox -e bench`` runs both drivers on one Swift in one session and prints
ratios. It is a tool to steer by: nothing in it fails because of a time.
"""
