# SPDX-License-Identifier: Apache-2.0

"""What is true of the project as a whole, in any mode of Cinder."""
