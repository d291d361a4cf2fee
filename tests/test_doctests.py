"""The examples in docstrings give what they say."""

import doctest
import pkgutil
from importlib import import_module

import numpy as np
import pytest

import geofcn

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(geofcn.__path__, prefix="geofcn.")
    if not module.name.startswith("geofcn.qgis_plugin.")  # for QGIS's Python, and without examples
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    with np.printoptions(legacy=False):
        failures, _ = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert failures == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test.name for name in MODULES for test in finder.find(import_module(name)) if test.examples
    ]
    assert len(examples) > 20
