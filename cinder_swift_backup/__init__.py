# SPDX-License-Identifier: Apache-2.0

"""A Cinder backup driver for Swift: fast, verified, and format compatible."""
