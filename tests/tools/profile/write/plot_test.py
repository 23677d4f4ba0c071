"""tools/plot_profile.py as it is started: plot_test.py. Needs matplotlib."""
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import profile_sample

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "..", "tools", "plot_profile.py")
sys.path.append(os.path.dirname(SCRIPT))
import figure_file


class Plot(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def plot(self, name, text):
        return subprocess.run([sys.executable, SCRIPT, "-", os.path.join(self.directory, name)], input=text, capture_output=True, text=True, encoding="utf-8",
                              timeout=300, check=False)

    @unittest.skipIf(importlib.util.find_spec("matplotlib") is None, "matplotlib is not installed: apt-get install python3-matplotlib")
    def test_pictures(self):
        for name, sample in (("sample.png", "sample"), ("sample.svg", "sample"), ("layer.svg", "layer"), ("hostile.svg", "hostile")):
            result = self.plot(name, profile_sample.sample_text(sample))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.directory)), ["hostile.svg", "layer.svg", "sample.png", "sample.svg"])
        with open(os.path.join(self.directory, "sample.png"), "rb") as file:
            self.assertTrue(file.read().startswith(b"\x89PNG"))
        titles = [text for text in self.svg_texts("sample.svg") if "what is not covered is idle" in text]
        self.assertEqual(sum(", disturbed by others;" in title for title in titles), 1, titles)
        texts = self.svg_texts("layer.svg")
        for text in ("worker 0", "worker 3", "head 0", "head 11", "product", "layer:s=512,model=768,heads=12"):
            self.assertIn(text, texts)
        texts = self.svg_texts("hostile.svg")
        for name in profile_sample.HOSTILE_NAMES:
            self.assertIn("".join(c if c.isprintable() else "?" for c in name), texts)

    def svg_texts(self, name):
        root = xml.etree.ElementTree.parse(os.path.join(self.directory, name)).getroot()
        return {"".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith(("}text", "}tspan"))}

    def test_without_matplotlib_this_python_is_named(self):
        with open(os.path.join(self.directory, "matplotlib.py"), "w", encoding="utf-8") as file:
            file.write("raise ImportError('none here')")
        result = subprocess.run([sys.executable, SCRIPT, "-", os.path.join(self.directory, "x.png")], input=profile_sample.sample_text("sample"), capture_output=True,
                                text=True, encoding="utf-8", timeout=300, check=False, env={**os.environ, "PYTHONPATH": self.directory})
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"install it with {figure_file.install_command()}\n", result.stderr)
        self.assertIn("apt-get" if figure_file.is_managed() else f"{sys.executable} -m pip install matplotlib", result.stderr)

    def test_a_link_stays_and_the_file_keeps_its_mode(self):
        class Figure:
            def savefig(self, file, format, dpi):
                file.write(f"{format} {dpi > 0}".encode())

        target, link = os.path.join(self.directory, "target"), os.path.join(self.directory, "link.svg")
        os.symlink("target", link)
        for mode in (0o644, 0o600, 0o664):
            if os.path.exists(target):
                os.chmod(target, mode)
            figure_file.save(Figure(), link)
            self.assertTrue(os.path.islink(link))
            self.assertEqual(os.stat(target).st_mode & 0o7777, mode)
            with open(target, encoding="utf-8") as file:
                self.assertEqual(file.read(), "svg True")
        self.assertEqual(sorted(os.listdir(self.directory)), ["link.svg", "target"])

    def test_refusals(self):
        sample = profile_sample.sample_text("sample")
        for name, text, reason in (("x.pdf", sample, "usage"), ("x.png", "{}", "not the output of headwise profile"), ("x.png", "{", "cannot read")):
            result = self.plot(name, text)
            self.assertEqual(result.returncode, 1)
            self.assertTrue(result.stderr.startswith("plot_profile.py: "), result.stderr)
            self.assertIn(reason, result.stderr)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
