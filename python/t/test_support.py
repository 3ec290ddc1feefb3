# SPDX-License-Identifier: Apache-2.0
"""What the tests share."""

import unittest

import support


class TestPorts(unittest.TestCase):
    def test_each_is_given_once(self):
        """A test asks for some before anything listens at the first."""
        ports = [support.free_port() for _ in range(50)]
        self.assertEqual(len(set(ports)), len(ports))


if __name__ == "__main__":
    support.main()
