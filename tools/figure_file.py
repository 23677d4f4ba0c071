"""What the scripts that draw with matplotlib share: they read JSON and write a figure. Imported from the folder they stand in."""
import json
import os
import shlex
import sys
import sysconfig
import tempfile
import warnings


def fail(message):
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    sys.exit(f"{os.path.basename(sys.argv[0])}: {escaped}")


def load(path, schema, entries, command):
    """The JSON in the file, or on standard input where it is "-"; `entries` is the list that must not be empty."""
    try:
        with sys.stdin if path == "-" else open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        fail(f"cannot read {path}: {error}")
    if not isinstance(content, dict) or content.get("schema") != schema or not content.get(entries):
        fail(f"{path} is not the output of {command}")
    return content


def printable(text):
    """Without what no font has and an .svg must not contain."""
    return "".join(c if c.isprintable() else "?" for c in text)


def is_managed():
    """Whether the system installs the packages of this python3, and pip refuses to (PEP 668)."""
    return sys.prefix == sys.base_prefix and os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))


def install_command():
    return "apt-get install python3-matplotlib" if is_managed() else f"{shlex.quote(sys.executable)} -m pip install matplotlib"


def start_matplotlib():
    import matplotlib

    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for a character that the font lacks
    # Names come from files: a $ in them starts no formula.
    matplotlib.rcParams.update({"font.size": 9, "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False})


def save(figure, path):
    # The format is given by name, as the temporary beside the target, renamed when complete, ends otherwise.
    # A link stays, and the file that it leads to keeps its mode.
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    mode = os.stat(target).st_mode & 0o7777 if os.path.exists(target) else 0o644
    with tempfile.NamedTemporaryFile(dir=directory, prefix=name[:100] + ".partial-", delete=False) as file:
        try:
            figure.savefig(file, format=os.path.splitext(path)[1][1:], dpi=150)
            file.close()
            os.chmod(file.name, mode)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def main(load_content, draw):
    """FILE|- OUT: load_content(FILE) gives what draw(content, OUT) draws."""
    if len(sys.argv) != 3 or os.path.splitext(sys.argv[2])[1] not in (".png", ".svg"):
        fail(f"usage: {os.path.basename(sys.argv[0])} FILE|- OUT.png|OUT.svg")
    content = load_content(sys.argv[1])
    try:
        draw(content, sys.argv[2])
    except ImportError as error:
        fail(f"matplotlib is missing ({error}): install it with {install_command()}")
    except OSError as error:
        fail(f"cannot write {sys.argv[2]}: {error}")


if __name__ == "__main__":  # how the program asks, without matplotlib
    sys.exit(0 if is_managed() else 1)
