"""The trace events of headwise profile: trace_test.py DRAW_PROFILE. Standard library, and jsonschema for one test.

Perfetto's own reader (trace_processor of the PyPI package perfetto) is a program that the package downloads when it is first used, which
a test must not; trace_events.schema.json says what it expects.
"""
import json
import os
import subprocess
import sys
import unittest

import profile_sample

try:
    import jsonschema
except ImportError:
    jsonschema = None

DRAW_PROFILE = sys.argv[1]
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace_events.schema.json")


def trace_of(json_text):
    result = subprocess.run([DRAW_PROFILE, "trace"], input=json_text, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout)


class Trace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.profiles = {name: profile_sample.SAMPLES[name]() for name in ("sample", "rows", "layer", "hostile")}
        cls.traces = {name: trace_of(json.dumps(profile)) for name, profile in cls.profiles.items()}

    def each_run(self):
        """(name, run, events of the run)"""
        for name, profile in self.profiles.items():
            events = self.traces[name]["traceEvents"]
            processes = list(dict.fromkeys(event["pid"] for event in events))
            self.assertEqual(len(processes), len(profile["runs"]))
            for process, run in zip(processes, profile["runs"]):
                yield name, run, [event for event in events if event["pid"] == process]

    def thread_names(self, events):
        return {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}

    @unittest.skipIf(jsonschema is None, "jsonschema is not installed: apt-get install python3-jsonschema")
    def test_schema(self):
        with open(SCHEMA, encoding="utf-8") as file:
            validator = jsonschema.Draft7Validator(json.load(file))
        for name, trace in self.traces.items():
            self.assertEqual([error.message for error in validator.iter_errors(trace)], [], name)
        for key, value in (("dur", -1), ("ts", None), ("ph", "B"), ("tid", "one"), ("extra", 1)):
            broken = {"displayTimeUnit": "ns", "otherData": {}, "traceEvents": [{**self.traces["sample"]["traceEvents"][-2], key: value}]}
            self.assertFalse(validator.is_valid(broken), key)

    def test_names(self):
        for _, run, events in self.each_run():
            threads = f"{run['threads']} thread" + ("s" if run["threads"] > 1 else "")
            self.assertEqual([event["args"]["name"] for event in events if event["name"] == "process_name"], [f"{run['case']}, {run['schedule']}, {threads}" + (", disturbed" if run["disturbed"] else "")])
            self.assertEqual(list(self.thread_names(events).values()), ["loops"] + [f"worker {worker}" for worker in range(run["threads"])])

    def test_numbers_of_processes_and_threads_differ(self):
        for name, trace in self.traces.items():
            events = trace["traceEvents"]
            processes, threads = {event["pid"] for event in events}, {event["tid"] for event in events if event["ph"] == "X"}
            self.assertFalse(processes & threads, name)
            self.assertEqual(len({(event["pid"], event["tid"]) for event in events if event["ph"] == "X"}), len(threads), name)

    def test_one_slice_a_task(self):
        for _, run, events in self.each_run():
            lanes = self.thread_names(events)
            slices = [event for event in events if event["ph"] == "X" and lanes[event["tid"]] != "loops"]
            self.assertEqual(len(slices), len(run["tasks"]))
            found = {(lanes[event["tid"]], event["ts"], round(event["ts"] + event["dur"], 3), event["args"]["head"], event["args"]["row_block"],
                      event["args"]["column_block"], event["cat"]) for event in slices}
            wanted = {(f"worker {task['worker']}", task["start_us"], task["end_us"], task["head"], task["row_block"], task["column_block"], task["kernel"])
                      for task in run["tasks"]}
            self.assertEqual(found, wanted)
            for event in slices:
                self.assertAlmostEqual(event["args"]["gflops"], event["args"]["flops"] / event["dur"] / 1e3, delta=1e-3 * event["args"]["gflops"])
                head, heads = event["args"]["head"], event["args"]["heads"]
                self.assertEqual(event["name"], "product" if event["cat"] == "matmul" else f"head {head}" if heads == 1 else f"heads {head}-{head + heads - 1}")

    def test_loops_have_a_lane_of_their_own(self):
        for _, run, events in self.each_run():
            lanes = self.thread_names(events)
            slices = [event for event in events if event["ph"] == "X" and lanes[event["tid"]] == "loops"]
            self.assertEqual([(event["name"], event["ts"], event["args"]["tasks"]) for event in slices],
                             [(loop["operation"], loop["start_us"], loop["tasks"]) for loop in run["loops"]])

    def test_order(self):
        """Metadata first, then by time; slices of a lane do not overlap."""
        for _, _, events in self.each_run():
            kinds = [event["ph"] == "M" for event in events]
            self.assertEqual(kinds, sorted(kinds, reverse=True))
            times = [event["ts"] for event in events if event["ph"] != "M"]
            self.assertEqual(times, sorted(times))
            ends = {}
            for event in events:
                if event["ph"] == "X":
                    self.assertGreaterEqual(round(1e3 * event["ts"]), ends.get(event["tid"], 0))
                    ends[event["tid"]] = round(1e3 * event["ts"]) + round(1e3 * event["dur"])

    def test_busy_workers(self):
        for _, run, events in self.each_run():
            counter = [event for event in events if event["ph"] == "C"]
            self.assertEqual({event["name"] for event in counter}, {"busy workers"})
            self.assertEqual(counter[-1]["args"]["busy"], 0)
            self.assertEqual(max(event["args"]["busy"] for event in counter), run["threads"])
            area = sum(event["args"]["busy"] * (after["ts"] - event["ts"]) for event, after in zip(counter, counter[1:]))
            self.assertAlmostEqual(area, sum(worker["busy_us"] for worker in run["workers"]), places=3)

    def test_no_task(self):
        profile = profile_sample.profile([{**profile_sample.attention_run(), "tasks": []}])
        counter = [event for event in trace_of(json.dumps(profile))["traceEvents"] if event["ph"] == "C"]
        self.assertEqual([(event["ts"], event["args"]["busy"]) for event in counter], [(0, 0)])

    def test_what_is_no_profile(self):
        with self.assertRaisesRegex(RuntimeError, "headwise.profile/1"):
            trace_of('{"schema": "headwise.compare/1", "runs": []}')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
