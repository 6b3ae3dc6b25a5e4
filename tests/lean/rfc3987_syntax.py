"""Not there for tests, as in the image: jupyterlab brings it, and it costs each process 1.3 s.

jsonschema imports it if it can, and it builds a grammar then, which nothing here uses. The folder
is first on the path of the tests and of every process that they start.
"""

raise ImportError("left out; see tests/lean")
