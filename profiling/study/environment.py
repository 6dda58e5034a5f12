"""Where the jobs of a study run: on the host, or in a container that the host plans for. No torch.

The image holds the environment, the checkout the code. Which image measured is part of every run's
request, by content and not by name, so that another image measures anew and the same one, moved
or built again, does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from adscale.config import StudyConfig
from adscale.errors import CollectorError, ConfigError
from adscale.files import write_text
from adscale.methods.registry import FILES, FOLDERS

from ..collectors.nsys import Choice
from ..image_files import linked_folders

CACHES = {
    "XDG_CACHE_HOME": "",
    "TORCH_HOME": "torch",
    "HF_HOME": "hf",
    "MPLCONFIGDIR": "matplotlib",
}


def host_prefix(checkout: Path, nsys: Path | None) -> str:
    """Return the beginning of every shell command of the workflow, on the host.

    ``python`` becomes the one that runs Snakemake, and our packages are found from any working
    directory. This is no parameter of a rule: where the checkout lies must not cause a run.

    Args:
        checkout: the folder of the Snakefile.
        nsys: the program that records, None without one.
    """
    return exports(
        PYTHONPATH=_python_path(checkout),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        ADSCALE_NSYS="" if nsys is None else str(nsys),
    )


def container_prefix(checkout: Path, cache: Path) -> str:
    """The same in the container, whose environment is its own: ``python`` and ``nsys`` are there.

    Snakemake makes the working directory the home folder; what libraries would put there goes
    where our own caches are.

    Args:
        checkout: the folder of the Snakefile.
        cache: folder for what libraries keep.
    """
    caches = {name: str(cache.absolute() / below) for name, below in CACHES.items()}
    return exports(PYTHONPATH=_python_path(checkout), **caches)


def _python_path(checkout: Path) -> str:
    """Our packages, then where the user's own methods are."""
    return os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))


def exports(**settings: str) -> str:
    """Shell commands that set environment variables.

    Args:
        settings: value by name.
    """
    return "".join(f"export {key}={shlex.quote(value)}; " for key, value in settings.items())


CHECKOUT = Path(__file__).parents[2]
SELF_TEST = CHECKOUT / "envs" / "self_test.py"
TIMEOUT_S = 300
PASSED_ON = ("CUDA_VISIBLE_DEVICES", "ADSCALE_CACHE")
"""Variables of the host that the otherwise clean environment of a job keeps: a scheduler says in
the first which GPU is ours."""


class Image(NamedTuple):
    """An image that was found."""

    name: str
    """As the configuration has it."""
    url: str
    """As Snakemake takes it. Of a file, a link that is named by its content: to Snakemake an image
    is its path, and the same one in another place would measure everything again."""
    digest: str
    """``sha256:…``: of the file, or as the address says."""
    file: Path | None
    """The .sif; None for an address."""


def find_image(container: str, cache: Path) -> Image:
    """The image of the configuration.

    Args:
        container: path of a .sif, or an address with a digest.
        cache: folder that keeps the digest of a file, which takes seconds to compute.

    Raises:
        ConfigError: there is no such file, or the address may mean another image tomorrow.
    """
    if "://" in container:
        found = re.fullmatch(r"\S+@(sha256:[0-9a-f]{64})", container)
        if found is None:
            what = f"{container!r} names no image for good: a tag can move"
            raise ConfigError("container", what, "write docker://name@sha256:<64 digits>")
        return Image(container, container, found[1], None)
    file = Path(container)
    if not file.is_file():
        what = f"there is no image {container}"
        remedy = "build it (`make image`), or name another .sif, or docker://name@sha256:…"
        raise ConfigError("container", what, remedy)
    digest = _file_digest(file, cache)
    link = cache / "images" / f"{digest[:16]}.sif"
    _link(link, file.resolve())
    return Image(container, str(link), f"sha256:{digest}", file)


def choose_in_image(
    requested: Literal["auto", "nsys", "embedded"], image: Image, cache: Path
) -> Choice:
    """The collector of runs in an image: nsys where that of the image records ranges.

    An image that is not on this machine yet (an address, in a dry run) is taken at its word: it
    was tested when it was built, and a run that lacks ranges ends with an error.

    Args:
        requested: what the configuration says.
        image: the image.
        cache: folder that keeps the result of the test.

    Raises:
        CollectorError: nsys was asked for, and that of the image does not record.
    """
    if requested == "embedded":
        return Choice("embedded", None, f"embedded collector in {image.name}: it was asked for")
    if image.file is None:
        return Choice("nsys", Path("nsys"), f"nsys of {image.name}, as tested when it was built")
    ok, said = _test(image.file, image.digest, cache)
    if ok:
        return Choice("nsys", Path("nsys"), f"{image.name}: {said}")
    if requested == "nsys":
        raise CollectorError(image.name, said, "build the image anew, or choose another collector")
    return Choice("embedded", None, f"embedded collector in {image.name}: {said}")


def prepare_environment(
    study: StudyConfig, checkout: Path, environment: MutableMapping[str, str]
) -> None:
    """Has jobs in the container see the user's files and keep a few variables.

    Apptainer and Singularity read both from variables of the process that calls them.

    Args:
        study: names the files.
        checkout: our code.
        environment: of this process; changed.
    """
    folders = [checkout, *_user_paths(study), *_search_path(environment)]
    binds = [f"{path}:{path}" for path in folders]
    for program in ("APPTAINER", "SINGULARITY"):
        before = filter(None, environment.get(f"{program}_BIND", "").split(","))
        # a job on a cluster inherits those of the process that submitted it
        environment[f"{program}_BIND"] = ",".join(dict.fromkeys([*before, *binds]))
        for name in (*PASSED_ON, *study.environment):
            if name in environment:
                environment[f"{program}ENV_{name}"] = environment[name]


def _user_paths(study: StudyConfig) -> Iterable[Path]:
    named = [("images", study.images)]
    named += [
        (f"methods.{method.label}.{key}", method.settings.get(key))
        for method in study.methods
        for key in (*FILES, *FOLDERS)
    ]
    for key, text in named:
        path = Path(text).absolute() if isinstance(text, str) else None
        if path is None or not path.exists():
            continue
        yield path
        if path.is_dir():
            yield from _linked(key, path)


MOST_LINKED = 20
"""Folders that links lead to and that a container sees one by one; of more, the one around them."""


def _linked(key: str, folder: Path) -> Sequence[Path]:
    """The folders that links among images lead to, or the one that holds them all.

    Raises:
        ConfigError: there are many, and nothing holds them but the root of all files.
    """
    targets = linked_folders(folder)
    if len(targets) <= MOST_LINKED:
        return targets
    around = Path(os.path.commonpath(targets))
    if around == Path("/"):
        what = f"links in {folder} lead to {len(targets)} folders, such as {targets[0]}"
        remedy = "copy the images there: a container sees only folders that it is told of"
        raise ConfigError(key, what, remedy)
    return [around]


def _search_path(environment: MutableMapping[str, str]) -> Iterable[Path]:
    """Folders of the user's own methods."""
    for folder in filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)):
        if Path(folder).is_dir():
            yield Path(folder).absolute()


def _link(link: Path, file: Path) -> None:
    """Lets a symbolic link lead to a file, at once and whatever it was before."""
    link.parent.mkdir(parents=True, exist_ok=True)
    unfinished = link.with_name(f".{link.name}.{os.getpid()}")
    unfinished.symlink_to(file)
    unfinished.replace(link)


def _file_digest(file: Path, cache: Path) -> str:
    """SHA-256 of a file, kept for as long as nothing about the file changes."""
    stat = file.stat()
    key = f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    kept = cache / f"image-{hashlib.sha256(key.encode()).hexdigest()[:16]}.txt"
    with suppress(OSError):
        text = kept.read_text(encoding="utf-8")
        if re.fullmatch("[0-9a-f]{64}", text):
            return text
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    write_text(kept, digest.hexdigest())
    return digest.hexdigest()


def _test(file: Path, digest: str, cache: Path) -> tuple[bool, str]:
    """Whether the nsys of the image records ranges of its nvtx, and what the test said."""
    kept = cache / f"image-test-{digest.partition(':')[2][:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(kept.read_text(encoding="utf-8"))
        return bool(found["ok"]), str(found["said"])
    program = shutil.which("apptainer") or shutil.which("singularity")
    if program is None:
        remedy = "install apptainer, see docs/container.md"
        raise CollectorError("container", "there is no apptainer or singularity here", remedy)
    command = [program, "exec", "--cleanenv", "--no-home", "--bind", f"{CHECKOUT}:/checkout:ro"]
    command += ["--pwd", "/", "--env", "PYTHONPATH=/checkout", str(file.absolute())]
    command += ["python", "-B", f"/checkout/{SELF_TEST.relative_to(CHECKOUT)}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        remedy = "see whether `apptainer exec` works here, and docs/container.md"
        raise CollectorError(str(file), f"cannot be run ({error})", remedy) from None
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    said = lines[-1] if lines else f"exit code {done.returncode}"
    write_text(kept, json.dumps({"ok": done.returncode == 0, "said": said}))
    return done.returncode == 0, said
