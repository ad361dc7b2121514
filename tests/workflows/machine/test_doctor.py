"""The doctor finds this environment well, and a broken one ill."""

import pytest

from workflows import doctor


def test_every_finding_that_is_not_good_says_how_to_mend_it() -> None:
    findings = doctor.examine()
    assert {"python", "graphics", "processors", "disk"} <= {finding.subject for finding in findings}
    assert all(finding.mend for finding in findings if finding.state != "good")


def test_a_graphics_back_end_that_does_not_render_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_renders", lambda backend: False)
    (finding,) = doctor._graphics()
    assert finding.state == "bad"
    assert "apt-get install" in finding.mend


def test_a_package_of_another_version_is_a_warning_with_its_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_pins", lambda: {"numpy": "0.1"})
    finding = next(finding for finding in doctor._versions() if finding.subject == "numpy")
    assert (finding.state, finding.mend) == ("warning", "pip install -c constraints.txt numpy==0.1")


def test_every_package_is_the_checkouts_own() -> None:
    assert [finding.state for finding in doctor._own_packages()] == ["good"]
