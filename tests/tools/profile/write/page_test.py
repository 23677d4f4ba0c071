"""The page of headwise profile in headless Chromium: page_test.py DRAW_PROFILE. Standard library only, and Chromium."""
import html.parser
import json
import subprocess
import sys
import unittest

import profile_browser
import profile_sample

DRAW_PROFILE = sys.argv[1]


def page(json_text):
    result = subprocess.run([DRAW_PROFILE, "html"], input=json_text, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    return result.stdout


class Elements(html.parser.HTMLParser):
    """The elements of a document as (tag, attributes), and its text by the id of the nearest element around it that has one."""

    VOID = {"meta", "input", "img", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        ids = [identity for _, identity in self.open if identity]
        for identity in ids:
            self.texts[identity] = self.texts.get(identity, "") + data

    def count(self, tag, **wanted):
        return sum(1 for name, attributes in self.elements if name == tag and wanted.items() <= attributes.items())


# Goes over the timeline as a user does, and leaves what the page answered in the document.
ACTIONS = """<script>
addEventListener("load", () => setTimeout(() => {
  const note = (id, text) => document.body.append(Object.assign(document.createElement("p"), { id, textContent: text }));
  const canvas = document.querySelector("canvas.timeline");
  const box = canvas.getBoundingClientRect();
  const move = (x, y) => canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y, bubbles: true }));
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true })); // draws it, whether its place is known to be laid out or not
  move(90, 60);
  note("hovered", document.getElementById("tooltip").innerText);
  move(90, 5);
  note("left", String(document.getElementById("tooltip").hidden));
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  note("announced", document.querySelector(".announcement").textContent);
  document.querySelector(".chip").click();
  note("pinned", document.querySelector('.chip[aria-pressed="true"]').textContent);
  document.querySelector('button[aria-label="Zoom in"]').click();
  const second = document.querySelectorAll("#runs input")[1];
  second.click();
  setTimeout(() => note("second", document.querySelector("h2.case").textContent + location.hash), 0);
}, 0));
</script>"""


SHOW_EACH_RUN = """<script>
profile.runs.forEach((_, i) => {
  show(i);
  document.body.append(Object.assign(document.createElement("p"), { id: `shown-${i}`, textContent: document.querySelector("h2.case").textContent }));
});
</script>"""


@unittest.skipIf(profile_browser.CHROMIUM is None, "chromium is not installed: apt-get install chromium")
class Page(unittest.TestCase):
    SECTIONS = ("Runs", "Diagnosis", "Timeline of workers", "Time by head and worker", "What more workers would do", "Roofline", "Where the efficiency goes",
                "Heads", "Workers")

    def assert_quiet(self, visit):
        self.assertEqual(visit.console, [])
        self.assertEqual(visit.requests, set())

    def test_runs_in_light_and_dark(self):
        profile = profile_sample.SAMPLES["sample"]()
        text = page(profile_sample.sample_text("sample"))
        light, dark = profile_browser.visit(text), profile_browser.visit(text, fragment="", dark=True)
        other = profile_browser.visit(text, fragment="run=2")
        for visit, run in ((light, profile["runs"][0]), (dark, profile["runs"][0]), (other, profile["runs"][1])):
            self.assert_quiet(visit)
            self.assertTrue(visit.screenshot.startswith(b"\x89PNG"))
            document = Elements(visit.dom)
            for section in self.SECTIONS:
                self.assertIn(f">{section}</h2>", visit.dom)
            self.assertEqual(document.count("input", type="radio"), 2)
            for line in run["diagnosis"] + [run["case"]]:
                self.assertIn(line, document.texts["run"])
            (self.assertIn if run["disturbed"] else self.assertNotIn)("Disturbed: other programs, or a slower core, cost at least 21", document.texts["run"])
            self.assertEqual(visit.dom.count(" (disturbed)</label>"), 1)
            for figure in ("speedup", "efficiency", "roofline"):
                self.assertIn(figure, document.texts)
            heads = {(head["head"], head["heads"]) for head in run["heads"]}
            self.assertEqual(document.count("button", **{"class": "chip"}), len(heads))
            self.assertIn(f"{run['roofline']['gflops']:.0f} GF/s", document.texts["roofline"])
            self.assertIn("not measured", document.texts["efficiencies"])
            labels = [attributes.get("aria-label") for tag, attributes in document.elements if tag in ("canvas", "svg") and attributes.get("role")]
            self.assertEqual(len(labels), 5)
            self.assertTrue(all(labels), labels)
            self.assertNotRegex(document.texts["run"], r"NaN|undefined|Infinity|\[object")
        self.assertNotEqual(light.screenshot, dark.screenshot)
        self.assertNotEqual(light.screenshot, other.screenshot)

    def test_computation_scaling_above_one_is_explained(self):
        profile = profile_sample.SAMPLES["sample"]()
        profile["runs"][0]["metrics"].update(computation_scaling=1.25, global_efficiency=1.2)
        for fragment, above in (("", True), ("run=2", False)):
            visit = profile_browser.visit(page(json.dumps(profile)), fragment=fragment)
            self.assert_quiet(visit)
            (self.assertIn if above else self.assertNotIn)("Computation scaling is above 100", Elements(visit.dom).texts["efficiencies"])

    def test_pointer_and_keyboard(self):
        visit = profile_browser.visit(page(profile_sample.sample_text("sample")) + ACTIONS)
        self.assert_quiet(visit)
        texts = Elements(visit.dom).texts
        task = profile_sample.attention_run()["tasks"][0]
        self.assertIn("head 0", texts["hovered"])
        for shown in ("worker", "batch", "query block", "7", "key split", "query-lanes", "attention", "73.5 µs",
                      f"{task['flops'] / (task['end_us'] - task['start_us']) / 1e3:.0f} GF/s"):
            self.assertIn(shown, texts["hovered"])
        self.assertEqual(texts["left"], "true")
        self.assertIn("worker 1", texts["announced"])
        self.assertEqual(texts["pinned"], "head 0")
        self.assertEqual(texts["second"], profile_sample.decode_run()["case"] + "#run=2")

    def test_hostile_names(self):
        visit = profile_browser.visit(page(profile_sample.sample_text("hostile")) + SHOW_EACH_RUN)
        self.assert_quiet(visit)
        document = Elements(visit.dom)
        for number, name in enumerate(profile_sample.HOSTILE_NAMES):
            self.assertIn(name, document.texts["runs"])
            self.assertEqual(document.texts[f"shown-{number}"], name)
        self.assertEqual(document.count("img") + document.count("b"), 0)

    def test_large_and_sparse_profiles(self):
        self.assert_quiet(profile_browser.visit(page(profile_sample.sample_text("wide"))))
        sparse = profile_sample.SAMPLES["layer"]()
        run = sparse["runs"][0]
        run["metrics"] = {name: None for name in run["metrics"]}
        run.update(roofline={name: None for name in run["roofline"]}, what_if=[], diagnosis=[], dropped=3,
                   tasks=[task for task in run["tasks"] if task["kernel"] == "matmul"], heads=[])
        visit = profile_browser.visit(page(profile_sample.json.dumps(sparse)))
        self.assert_quiet(visit)
        self.assertIn("3 records did not fit", visit.dom)
        self.assertNotRegex(Elements(visit.dom).texts["run"], r"NaN|undefined|null|Infinity|\[object")

    def test_that_errors_and_requests_would_be_seen(self):
        visit = profile_browser.visit('<!doctype html><script>throw Error("boom")</script><img src="http://page.invalid/x.png">')
        self.assertIn("boom", " ".join(visit.console))
        self.assertEqual(visit.requests, {"http://page.invalid/x.png"})


class Text(unittest.TestCase):
    def test_that_the_profile_stays_in_its_element(self):
        text = page(profile_sample.sample_text("hostile"))
        self.assertEqual(text.count("</script>"), 2)
        self.assertNotIn("<img", text)

    def test_what_is_no_profile(self):
        for text in ("", "{}", "[1]", '{"schema": "headwise.compare/1", "runs": []}', '{"schema": "headwise.profile/1"}'):
            with self.subTest(text=text), self.assertRaisesRegex(RuntimeError, "headwise.profile/1"):
                page(text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
