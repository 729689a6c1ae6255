"""The file of a batch job belongs to one process at a time, and is nothing else's."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.batch_file import JobFile
from labkit.errors import UserError

OPEN = "import sys; from labkit.batch_file import JobFile; JobFile(sys.argv[1])"


def test_a_second_process_is_told_that_the_job_is_in_use(tmp_path: Path) -> None:
    """Two programs never work on the same job; when one has closed it the other may."""
    job = JobFile(tmp_path / "job.db")
    command = [sys.executable, "-c", OPEN, str(tmp_path / "job.db")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "is in use: another program is working on this job" in refused.stderr
    job.close()
    assert subprocess.run(command, check=False).returncode == 0


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    """Prompts and answers are nobody else's business."""
    JobFile(tmp_path / "job.db").close()
    assert stat.S_IMODE((tmp_path / "job.db").stat().st_mode) == 0o600


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Neither a text nor somebody else's database becomes a job."""
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("not a database, but long enough to look like one " * 30)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (value)")
    db.close()
    for path, says in [(text, "is no database"), (other, "is not the file of a batch job")]:
        before = path.read_bytes()
        with pytest.raises(UserError, match=says):
            JobFile(path)
        assert path.read_bytes() == before
    with pytest.raises(UserError, match="cannot be made"):
        JobFile(tmp_path / "nowhere" / "job.db")
    with pytest.raises(UserError, match=r"The job file .* cannot be used \("):
        JobFile(tmp_path)


def test_a_transaction_is_whole_or_has_not_happened(tmp_path: Path) -> None:
    """What is noted in a block that fails is not there."""
    job = JobFile(tmp_path / "job.db")
    with job.transaction():
        job.note("kept", "yes")

    def failing() -> None:
        with job.transaction():
            job.note("lost", "yes")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert (job.fact("kept"), job.fact("lost")) == ("yes", None)
    job.close()
