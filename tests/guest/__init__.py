# SPDX-License-Identifier: Apache-2.0

"""A kernel with the device mapper, on machines whose kernel has none."""
