"""What `import fusion` gives, and what it costs."""

import subprocess
import sys

import pytest

import fusion


def test_every_public_name_is_there():
    for name in fusion.__all__:
        assert getattr(fusion, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = fusion.nothing


def test_importing_the_package_loads_nothing_heavy():
    code = "import fusion, sys; print({'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set()"
