"""YAML of users, from files and from the command line: what is wrong with it in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError, reason_of, remedy_of, shown


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a configuration file and does not check it.

    Raises:
        ConfigError: it cannot be read, is no YAML, or holds no keys.
    """
    data = parse_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(str(path), "holds no keys", "see config/config.yaml for an example")
    return data


def parse_yaml(path: Path) -> Any:
    """The content of a file.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
    except OSError as error:
        what = f"cannot be read ({reason_of(error)})"
        raise ConfigError(str(path), what, remedy_of(error, "name a file")) from None
    except UnicodeDecodeError as error:
        what = f"is not in UTF-8 (byte {error.start + 1})"
        raise ConfigError(str(path), what, "save it in UTF-8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(str(path), f"is no YAML ({error})", "mend the syntax") from None


def check_config_files(arguments: Sequence[str]) -> None:
    """Reads the files that Snakemake will be given, before it does: of some it tells a traceback.

    Args:
        arguments: of Snakemake.

    Raises:
        ConfigError: a file of ``--configfile`` cannot be used.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", type=Path, default=[])
    with suppress(argparse.ArgumentError):  # which Snakemake tells
        given, _ = parser.parse_known_args(arguments)
        for path in given.configfile:
            read_yaml(path)


class _Loader(yaml.SafeLoader):
    """Refuses what means something else than it says.

    These are a mapping that names a key twice, of which the last would win, and numbers that
    YAML 1.1 reads otherwise than people do: ``010`` is 8 (octal), ``1:30`` is 90 (base 60).
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            yaml.YAMLError: it names a key twice.
        """
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and names.count(key.value) > 1:
                what = f"{key.value!r} is named twice"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
        return super().construct_mapping(node, deep=deep)

    def construct_plain_number(self, node: yaml.ScalarNode) -> int | float:
        """The number of a node.

        Raises:
            yaml.YAMLError: it is octal by a leading zero, or of base 60.
        """
        is_integer = node.tag == "tag:yaml.org,2002:int"
        number = (self.construct_yaml_int if is_integer else self.construct_yaml_float)(node)
        digits = node.value.lstrip("+-")
        octal = is_integer and len(digits) > 1 and digits[0] == "0" and digits[1] not in "bx"
        if octal or ":" in digits:
            what = f"{node.value!r} would be read as {number}; write that, or what is meant"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_plain_number)


def typed(given: Any) -> Any:
    """Values of the command line as YAML has them: Snakemake leaves all in lists as text.

    Args:
        given: the value of ``--config key=value``.

    Raises:
        ConfigError: a text in it is no YAML.
    """
    if isinstance(given, Mapping):
        return {typed(key): typed(value) for key, value in given.items()}
    if isinstance(given, list):
        return [typed(value) for value in given]
    return parse_value(given, "--config") if isinstance(given, str) else given


def parse_value(text: str, where: str) -> Any:
    """A value of the command line, as YAML reads it.

    Args:
        text: of the user.
        where: the argument.

    Raises:
        ConfigError: it is no YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - safe
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(where, f"{shown(text)} is no YAML ({error})", "mend the value") from None


if __name__ == "__main__":
    try:
        check_config_files(sys.argv[1:])
    except ConfigError as fault:
        sys.exit(f"configuration: {fault}")
