from importlib.util import find_spec

import numpy as np
import pytest
from distributed import Client

import covdist

# Examples are looked for by importing a file, and these import packages that may be missing.
_NEEDED = {
    "covdist/jobs/dashboard/page.py": "bokeh",
    **{
        f"covdist/record/torch/{name}.py": "torch"
        for name in ("arena", "copies", "gradients", "hooks", "running", "seen")
    },
}
collect_ignore = [file for file, package in _NEEDED.items() if find_spec(package) is None]


@pytest.fixture(autouse=True)
def job_examples(request, doctest_namespace, tmp_path_factory):
    """Give the examples of the methods of ``covdist.Job`` the job of the example of the class."""
    if request.node.name.startswith("covdist.jobs.job.Job.") and "job" not in doctest_namespace:
        folder = tmp_path_factory.mktemp("job")
        np.save(folder / "x.npy", np.eye(3))
        with Client(processes=False, dashboard_address=":0") as client:
            job = covdist.submit(folder / "x.npy", job=folder / "job", client=client).wait()
        doctest_namespace.update(covdist=covdist, folder=folder, job=job)
