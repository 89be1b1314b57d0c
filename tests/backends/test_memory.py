"""Memory that one step frees is there for the next."""

import os
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
import aesara.tensor as at
import aeframe as ae

x = at.TensorType("float32", (2048, 2048))()
run = ae.Backend("jax").compile([x], [(at.dot(x, x.T) + x[::-1]).sum()])
value = np.ones((2048, 2048), "float32")

def faults():
    np.asarray(run(value)[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

print(min(np.diff([faults() for _ in range(12)])))
"""


def fewest_faults(**settings):
    """How many pages the kernel makes, at least, for a step whose intermediates take 16 MiB."""
    free = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=free | settings, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="glibc alone is tuned")
def test_memory_is_kept_between_steps_unless_the_user_has_tuned_malloc():
    assert fewest_faults() < 100
    assert fewest_faults(MALLOC_PERTURB_="0") > 2000
