# SPDX-License-Identifier: Apache-2.0
"""A Director, an Image repository and an OSTree server to try and test a Primary with.

Independent of src/: own canonical form, own signing, own checks, so that one mistake cannot hide on both sides.
"""
from .server import Backend

__all__ = ["Backend"]
