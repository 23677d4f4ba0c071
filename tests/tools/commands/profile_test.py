"""`headwise profile` as its users call it: profile_test.py PROGRAM DATA_DIRECTORY. No time is checked, only how they belong together."""
import collections
import csv
import json
import math
import os
import subprocess
import sys
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

from headwise_program import Case, headwise, headwise_losing_a_file, write_safetensors

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "profile_schema.json")
CORES = json.loads(headwise("info", "--json").stdout)["logical_cores"]
MOST = min(CORES, 2)  # threads
SMALL = "attention:b=2,hq=4,hkv=2,sq=40,skv=1100,d=16,causal=bottom-right"
CLOCK = 0.01  # microseconds: what is lost when nanoseconds are written as microseconds


class Profile(Case):
    def profile(self, *arguments):
        """The JSON of a run, which has been checked against itself, and the text."""
        path = self.path("profile.json")
        result = headwise("profile", "--repeat", "3", *arguments, "--json", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(path, encoding="utf-8") as file:
            profile = json.load(file)
        os.unlink(path)
        for run in profile["runs"]:
            with self.subTest(case=run["case"], threads=run["threads"], schedule=run["schedule"]):
                self.check_run(run)
        return profile, result.stdout

    def check_run(self, run):
        self.assertEqual(run["dropped"], 0)
        self.assertEqual(run["repeats"], 3)
        self.assertEqual(run["disturbed"], run["disturbance"] > 0)
        self.assertIn(run["attempts"], (1, 2, 3))
        self.check_tasks(run)
        self.check_sums(run)
        self.check_metrics(run["metrics"], run["threads"])
        self.check_what_if(run["what_if"])

    def check_tasks(self, run):
        """Tasks lie within their loops, and those of a worker do not overlap."""
        lanes = collections.defaultdict(list)
        for task in run["tasks"]:
            loop = run["loops"][task["loop"]]
            self.assertLess(task["worker"], loop["workers"])
            self.assertGreaterEqual(task["start_us"], loop["start_us"] - CLOCK)
            self.assertLessEqual(task["end_us"], loop["end_us"] + CLOCK)
            lanes[task["worker"]].append((task["start_us"], task["end_us"]))
        for spans in lanes.values():
            spans.sort()
            for (start, end), (following, _) in zip(spans, spans[1:]):
                self.assertLessEqual(start, end)
                self.assertLessEqual(end, following + CLOCK)
        self.assertEqual(len(run["tasks"]), sum(loop["tasks"] for loop in run["loops"]))
        for before, after in zip(run["loops"], run["loops"][1:]):
            self.assertLessEqual(before["end_us"], after["start_us"] + CLOCK)

    def check_sums(self, run):
        busy = sum(task["end_us"] - task["start_us"] for task in run["tasks"])
        self.assertAlmostEqual(sum(worker["busy_us"] for worker in run["workers"]), busy, delta=1e-6 * busy + CLOCK)
        self.assertEqual(sum(worker["tasks"] for worker in run["workers"]), len(run["tasks"]))
        self.assertEqual([worker["worker"] for worker in run["workers"]], list(range(run["threads"])))
        attention = [task for task in run["tasks"] if run["loops"][task["loop"]]["operation"].startswith("attention")] or run["tasks"]
        self.assertAlmostEqual(sum(head["us"] for head in run["heads"]), sum(t["end_us"] - t["start_us"] for t in attention), delta=1e-6 * busy + CLOCK)
        self.assertEqual({(head["batch"], head["head"]) for head in run["heads"]}, {(task["batch"], task["head"]) for task in attention})

    def check_metrics(self, m, threads):
        self.assertLessEqual(m["load_balance"], 1 + 1e-9)
        for name in ("communication_efficiency", "serialization_efficiency", "transfer_efficiency"):
            self.assertLessEqual(m[name], 1 + 1e-6, name)
        for product, *factors in (("communication_efficiency", "serialization_efficiency", "transfer_efficiency"),
                                  ("parallel_efficiency", "load_balance", "communication_efficiency"),
                                  ("global_efficiency", "parallel_efficiency", "computation_scaling")):
            self.assertAlmostEqual(m[product], math.prod(m[factor] for factor in factors))
        if threads == 1:
            self.assertIsNone(m["karp_flatt"])
        else:
            self.assertAlmostEqual(m["karp_flatt"], (1 / m["speedup"] - 1 / threads) / (1 - 1 / threads))

    def check_what_if(self, table):
        one = {entry["schedule"]: entry["seconds"] for entry in table if entry["workers"] == 1}
        for entry in table:
            self.assertLessEqual(entry["seconds"], one[entry["schedule"]] * (1 + 1e-9))
            self.assertAlmostEqual(entry["parallel_efficiency"], one[entry["schedule"]] / entry["seconds"] / entry["workers"])
            self.assertLessEqual(entry["parallel_efficiency"], 1 + 1e-9)

    def test_every_operation_keeps_to_the_schema(self):
        if jsonschema is None:
            self.skipTest("python3-jsonschema is not installed")
        with open(SCHEMA, encoding="utf-8") as file:
            schema = json.load(file)
        profile, _ = self.profile("--case", SMALL, "--case", "matmul:batch=3,m=64,n=64,k=64", "--case", "layer:s=32,model=64,heads=4")
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(profile, schema, jsonschema.Draft202012Validator)
        self.assertEqual({run["operation"] for run in profile["runs"]}, {"attention", "matmul", "layer"})
        for value, valid in (("inf", True), ("nan", True), (None, False), ("fast", False)):
            odd = {**profile, "runs": [{**profile["runs"][0], "metrics": {**profile["runs"][0]["metrics"], "speedup": value}}]}
            self.assertEqual(jsonschema.Draft202012Validator(schema).is_valid(odd), valid, value)
        broken = {**profile, "runs": [{**profile["runs"][0], "seconds": None}]}
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema, jsonschema.Draft202012Validator)

    def test_runs_are_one_thread_first_and_then_all_that_was_asked_for(self):
        profile, text = self.profile("--case", SMALL, "--threads", str(MOST), "--schedule", "heads,heads-queries", "--schedule", "auto")
        expected = [(1, "auto")] + [(MOST, name) for name in ("heads", "heads-queries", "auto")]
        self.assertEqual([(run["threads"], run["schedule"]) for run in profile["runs"]], list(dict.fromkeys(expected)))
        self.assertEqual(set(profile["machine"]["fma_gflops"]), {"1", str(MOST)})
        self.assertEqual(text.count(", schedule "), len(profile["runs"]))
        self.assertEqual(text.count("  DISTURBED  "), sum(run["disturbed"] for run in profile["runs"]))
        self.assertIn("predicted", text)

    def test_schedules_cut_the_work_as_they_say(self):
        profile, _ = self.profile("--case", "attention:b=2,hq=4,hkv=2,sq=300,d=16", "--threads", "1", "--schedule", "heads,heads-queries")
        by_schedule = {run["schedule"]: run for run in profile["runs"]}
        heads = {(batch, head) for batch in (0, 1) for head in (0, 2)}
        for name, run in by_schedule.items():
            self.assertEqual({(task["batch"], task["head"]) for task in run["tasks"]}, heads)
            self.assertEqual({task["heads"] for task in run["tasks"]}, {2})
            self.assertEqual(len({(t["batch"], t["head"], t["row_block"], t["column_block"]) for t in run["tasks"]}), len(run["tasks"]), name)
        self.assertEqual(len(by_schedule["heads"]["tasks"]), 4)
        self.assertGreater(len(by_schedule["heads-queries"]["tasks"]), 4)

    def test_flops_and_bytes_are_those_of_the_case(self):
        profile, _ = self.profile("--case", "attention:hq=3,sq=64,skv=100,d=32", "--case", "matmul:batch=2,m=40,n=50,k=60", "--threads", "1")
        for run, flops in zip(profile["runs"], (4 * 3 * 64 * 100 * 32, 2 * 2 * 40 * 50 * 60)):
            self.assertAlmostEqual(sum(task["flops"] for task in run["tasks"]), flops)
            self.assertAlmostEqual(sum(head["flops"] for head in run["heads"]), flops)

    def test_a_layer_has_loops_of_products_and_of_heads(self):
        profile, _ = self.profile("--case", "layer:b=2,s=32,model=64,heads=4,kv_heads=2", "--threads", "1")
        (run,) = profile["runs"]
        self.assertEqual([loop["operation"] for loop in run["loops"]], ["matmul", "attention", "matmul"])
        self.assertEqual([(head["batch"], head["head"]) for head in run["heads"]], [(0, 0), (0, 2), (1, 0), (1, 2)])
        self.assertLess(sum(head["share"] for head in run["heads"]), 1)
        self.assertEqual({entry["schedule"] for entry in run["what_if"]}, {"auto"})

    def test_input_file(self):
        path = self.path("mine.safetensors")
        write_safetensors(path, {name: ([1, 2, 9, 16], [math.sin(i) for i in range(288)]) for name in "qkv"})
        profile, _ = self.profile("--input", path, "--causal", "bottom-right", "--isa", "scalar", "--threads", "1")
        self.assertEqual(profile["machine"]["isa"], "scalar")
        self.assertEqual(profile["runs"][0]["case"], "mine.safetensors")
        self.assertAlmostEqual(sum(task["flops"] for task in profile["runs"][0]["tasks"]), 4 * 16 * 2 * 45)

    def test_lengths_of_a_file_make_heads_uneven(self):
        path = self.path("ragged.safetensors")
        tensors = {"q": ([2, 2, 4, 8], [0.1] * 128), "k": ([2, 2, 50, 8], [0.2] * 1600), "v": ([2, 2, 50, 8], [0.3] * 1600)}
        write_safetensors(path, {**tensors, "kv_lengths": ([2], [10, 40], "I32")})
        profile, _ = self.profile("--input", path, "--threads", "1")
        flops = {(head["batch"], head["head"]): head["flops"] for head in profile["runs"][0]["heads"]}
        self.assertEqual(flops, {(batch, head): 4 * 8 * 4 * keys for batch, keys in ((0, 10), (1, 40)) for head in (0, 1)})

    def test_csv_has_a_line_for_each_run(self):
        path = self.path("profile.csv")
        profile, _ = self.profile("--case", SMALL, "--case", "matmul:m=32,n=32,k=32", "--csv", path)
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["case"], int(row["threads"]), row["schedule"]) for row in rows],
                         [(run["case"], run["threads"], run["schedule"]) for run in profile["runs"]])
        for row, run in zip(rows, profile["runs"]):
            self.assertEqual(float(row["load_balance"]), run["metrics"]["load_balance"])
            self.assertEqual(int(row["tasks"]), len(run["tasks"]))
            self.assertNotIn(None, row)
            self.assertEqual((row["disturbed"], int(row["attempts"])), ("true" if run["disturbed"] else "false", run["attempts"]))

    def test_all_forms_at_once(self):
        names = ["profile.csv", "profile.html", "profile.json", "trace.json"]
        arguments = [argument for name, option in zip(names, ("--csv", "--html", "--json", "--trace")) for argument in (option, self.path(name))]
        result = headwise("profile", "--repeat", "1", "--case", SMALL, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.directory)), names)
        with open(self.path("profile.html"), encoding="utf-8") as file:
            self.assertIn("<html", file.read())
        with open(self.path("trace.json"), encoding="utf-8") as file:
            self.assertTrue(json.load(file)["traceEvents"])

    def test_without_files_timelines_are_printed(self):
        result = headwise("profile", "--repeat", "1", "--case", SMALL)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("worker 0│", result.stdout)
        self.assertEqual(os.listdir(self.directory), [])

    def test_plot(self):
        if subprocess.run(["python3", "-c", "import matplotlib"], capture_output=True, check=False).returncode != 0:  # whichever draws
            self.skipTest("matplotlib is not installed")
        result = headwise("profile", "--repeat", "1", "--case", SMALL, "--plot", self.path("profile.svg"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(self.path("profile.svg"), encoding="utf-8") as file:
            self.assertIn("<svg", file.read())


class BadUsage(Case):
    def test_bad_arguments_are_named(self):
        case = ["--case", SMALL]
        for arguments, names in (([], ["--case"]), (["--case", "attention:sq=8,d=8,colour=red"], ["colour"]), (["--case", "fly:m=1"], ["fly"]),
                                 ([*case, "--threads", "0"], ["--threads", "0"]), ([*case, "--threads", "-1"], ["--threads", "-1"]),
                                 ([*case, "--threads", f"1,{CORES + 1}"], ["--threads", str(CORES + 1), f"{CORES} logical"]),
                                 ([*case, "--threads", "two"], ["--threads"]), ([*case, "--threads", "1,1"], ["--threads", "twice"]),
                                 ([*case, "--schedule", "rows"], ["--schedule", "rows", "heads-queries"]), ([*case, "--schedule", ""], ["--schedule"]),
                                 ([*case, "--schedule", "heads,heads"], ["--schedule", "twice"]),
                                 (["--case", "matmul:m=8,n=8,k=8", "--schedule", "heads"], ["--schedule", "matmul"]),
                                 ([*case, "--case", "layer:s=8,model=8,heads=2", "--schedule", "heads-queries"], ["--schedule", "layer"]),
                                 ([*case, "--repeat", "0"], ["--repeat", "0"]), ([*case, "--repeat", "-5"], ["--repeat"]),
                                 ([*case, "--repeat", "many"], ["--repeat"]), ([*case, "--isa", "mmx"], ["--isa"]),
                                 ([*case, "--causal", "top-left"], ["--causal"]), (["--input", "/nowhere"], ["/nowhere"]),
                                 (["--case", "matmul:m=2000000000,n=2000000000,k=1"], ["GB"]),
                                 ([*case, "--json", "/nowhere/x"], ["/nowhere/x"]), ([*case, "--csv", "/nowhere/x"], ["/nowhere/x"]),
                                 ([*case, "--trace", "/nowhere/x"], ["/nowhere/x"]), ([*case, "--html", "/nowhere/x"], ["/nowhere/x"]),
                                 ([*case, "--plot", "x.pdf"], ["--plot", "x.pdf"]),
                                 ([*case, "--json", self.directory], ["regular file"])):
            with self.subTest(arguments=arguments):
                self.assert_fails(2, "profile", *arguments, names=names)

    def test_files_that_cannot_be_profiled(self):
        path = self.path("mine.safetensors")
        tensors = {name: ([1, 1, 2, 4], [1.0] * 8) for name in "qkv"}
        for change, names in (({"q": ([1, 1, 0, 4], [])}, ["nothing to profile"]), ({"v": ([1, 1, 3, 4], [1.0] * 12)}, ["lengths"]),
                              ({"q_positions": ([1, 2], [0, 1], "I32")}, ["'q_positions' is for RoPE, which profile does not support"]), ({"kv_lengths": ([1], [9], "I32")}, ["kv_lengths"])):
            with self.subTest(change=change):
                write_safetensors(path, {**tensors, **change})
                self.assert_fails(2, "profile", "--input", path, names=["mine.safetensors", *names])

    def test_bad_content_of_any_file_is_reported_before_anything_is_measured(self):
        good, bad = self.path("good.safetensors"), self.path("bad.safetensors")
        tensors = {name: ([1, 2, 3, 4], [1.0] * 24) for name in "qkv"}
        write_safetensors(good, tensors)
        for change, names in (({"mask": ([1, 1, 3, 2], [1] * 6, "U8")}, ["mask.extent[3] is 2"]), ({"bias": ([1, 3, 3, 3], [0.0] * 27)}, ["bias.extent[1] is 3"]),
                              ({"mask": ([2, 1, 1, 3], [1] * 6, "BOOL")}, ["mask.extent[0] is 2"]), ({"tree_parents": ([1, 3], [0, 0, 1], "I32")}, ["tree_parents[0, 0] is 0"])):
            with self.subTest(change=change):
                write_safetensors(bad, {**tensors, **change})
                self.assert_fails(2, "profile", "--input", good, "--input", bad, names=["bad.safetensors", *names])  # nothing on stdout: no peak

    def test_what_was_measured_before_a_failure_is_written(self):
        paths = [self.path("first.safetensors"), self.path("second.safetensors")]
        for path in paths:
            write_safetensors(path, {name: ([1, 2, 9, 16], [math.sin(i) for i in range(288)]) for name in "qkv"})
        output = self.path("profile.json")
        code, errors = headwise_losing_a_file(paths[1], "profile", "--repeat", "3", "--threads", "1", "--input", paths[0], "--input", paths[1], "--json", output)
        self.assertEqual((code, errors.count("\n")), (2, 1))
        self.assertIn("second.safetensors", errors)
        with open(output, encoding="utf-8") as file:
            self.assertEqual([run["case"] for run in json.load(file)["runs"]], ["first.safetensors"])

    def test_a_failure_leaves_the_old_file(self):
        path = self.path("profile.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
        self.assert_fails(2, "profile", "--case", SMALL, "--json", path, "--csv", "/nowhere/x", names=["/nowhere/x"])
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_help(self):
        text = headwise("profile", "--help").stdout
        for option in ("--case", "--input", "--threads", "--schedule", "--repeat", "--isa", "--json", "--csv", "--trace", "--html", "--plot"):
            self.assertIn(option, text)
        self.assertIn("kv_lengths", text)
        self.assertNotIn("_positions", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
