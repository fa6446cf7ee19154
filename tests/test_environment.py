"""environment.yml, pyproject.toml and requirements.lock name the same packages in compatible ranges."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKED_EXTRAS = ("test", "sweep")


def declared() -> dict[str, SpecifierSet]:
    """The ranges of pyproject.toml: what everybody needs, and the extras that the lock covers."""
    extras = (PROJECT["optional-dependencies"][extra] for extra in LOCKED_EXTRAS)
    requirements = [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def conda() -> tuple[dict[str, str], dict[str, str]]:
    """environment.yml's ranges, those that conda resolves and those that pip does."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pairs = (entry.split(" ", 1) for entry in entries if isinstance(entry, str))
    specs = {canonicalize_name(name): spec for name, spec in pairs}
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert from_pip[-1] == "-e ."
    requirements = [Requirement(line) for line in from_pip[:-1]]
    return specs, {requirement.name: str(requirement.specifier) for requirement in requirements}


def locked() -> dict[str, set[str]]:
    """Every package of the lock with its versions: a universal lock may hold one per version of Python."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", LOCK, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def test_environment_yml_names_the_packages_of_pyproject() -> None:
    specs, from_pip = conda()
    assert set(specs) | set(from_pip) == set(declared()) | {"python"}
    assert not set(specs) & set(from_pip)


def test_environment_yml_states_the_ranges_of_pyproject() -> None:
    specs, from_pip = conda()
    assert SpecifierSet(specs.pop("python")) == SpecifierSet(PROJECT["requires-python"])
    for name, spec in (specs | from_pip).items():
        assert SpecifierSet(spec) == declared()[name], name


def test_specs_parse_as_conda_specs_and_match_the_locked_versions() -> None:
    specs, _ = conda()
    for name, spec in specs.items():
        match = rattler.MatchSpec(f"{name} {spec}")
        assert match.version is not None, name
        for version in locked().get(name, set()):
            assert rattler.VersionSpec(spec).matches(rattler.Version(version)), (
                f"{name} {version} against {spec}"
            )
    assert not rattler.VersionSpec(specs["python"]).matches(rattler.Version("3.10.9"))


def test_lock_holds_every_declared_package_in_its_range() -> None:
    for name, specifier in declared().items():
        assert locked().get(name), f"{name} is not in requirements.lock"
        for version in locked()[name]:
            assert specifier.contains(version), f"{name} {version} against {specifier}"


def test_lock_was_made_from_these_packages() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    direct = {
        canonicalize_name(block.split("==")[0])
        for block in blocks
        if f"{PROJECT['name']} (pyproject" in block
    }
    assert direct == set(declared())


def test_every_locked_package_has_a_hash_and_no_address() -> None:
    for entry in re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", LOCK, flags=re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_says_in_one_sentence_that_there_is_no_python(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    command = [str(shutil.which("make")), "PYTHON=", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("No Python 3.11, 3.12 or 3.13 was found: install one")
    assert not (tmp_path / ".venv").exists()
