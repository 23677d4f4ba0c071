#!/usr/bin/env python3
"""Synthetic profiles of schema headwise.profile/1, for tests and for looking at pictures: no machine ran this. profile_sample.py NAME

sample: attention with 12 heads on 2 workers, and decoding with split keys, which others disturbed. rows: the same attention on 1 to 8 workers.
layer: products between attention and RoPE. wide: 20,000 tasks on 64 workers. hostile: names that try to leave their place.
"""
import json
import random
import statistics
import sys

FMA_GFLOPS, READ_GB_PER_S = 117.0, 31.0
WAKE_UP_US = 4.0
HOSTILE_NAMES = ("</script><img src=x onerror=\"console.error('broken out')\">", "quotes \" ' ` & <b>bold</b> <!-- <script>", "Größe 世界 \u202e\u0001 \\")


def machine(threads):
    return {"cpu": "Synthetic CPU (these figures were made up)", "isa": "avx512", "logical_cores": max(threads),
            "fma_gflops": {str(count): FMA_GFLOPS * count for count in threads},
            "read_gb_per_s": {str(count): READ_GB_PER_S * min(count, 2) ** 0.1 for count in threads}, "counters": "not read: synthetic"}


def list_schedule(tasks, workers, begin=0.0, wake_up=WAKE_UP_US):
    """Hands (record, us) out in order to whoever is free first; gives records with worker, start_us and end_us, and the end."""
    free = [begin + (0 if worker == 0 else wake_up * (1 + worker / workers)) for worker in range(workers)]
    records = []
    for record, duration in tasks:
        worker = min(range(workers), key=free.__getitem__)
        records.append({**record, "worker": worker, "start_us": round(free[worker], 3), "end_us": round(free[worker] + duration, 3)})
        free[worker] += duration + 0.05
    return records, max(free)


def attention_tasks(heads=12, blocks=8, rows=64, dim=64, batch=1, seed=1):
    """Causal prefill: later blocks see more keys. The last head is slower, as one with a bias of its own would be."""
    numbers, tasks = random.Random(seed), []
    for block in reversed(range(blocks)):
        for b in range(batch):
            for head in range(heads):
                keys = rows * (block + 0.5)
                flops = 4.0 * rows * keys * dim
                duration = flops / (0.9e3 * FMA_GFLOPS) * numbers.uniform(0.97, 1.08) * (1.6 if head == heads - 1 else 1)
                tasks.append(({"batch": b, "head": head, "heads": 1, "row_block": block, "column_block": 0, "kernel": "query-lanes", "flops": flops,
                               "bytes": 4.0 * dim * (2 * rows + 2 * keys)}, duration))
    return tasks


def whole_heads(tasks):
    """As the schedule "heads" does it: all query blocks of a head in one task, the longest first."""
    heads = {}
    for record, duration in tasks:
        head, before = heads.get(record["head"], ({**record, "row_block": 0, "flops": 0.0, "bytes": 0.0}, 0.0))
        head["flops"] += record["flops"]
        head["bytes"] += record["bytes"]
        heads[record["head"]] = head, before + duration
    return sorted(heads.values(), key=lambda pair: -pair[1])


def decode_tasks(kv_heads=4, group=8, splits=4, keys=8192, dim=128, seed=2):
    """One query row: all the time goes into reading keys and values, so that the splits of a head are alike."""
    numbers, tasks = random.Random(seed), []
    for split in range(splits):
        for head in range(kv_heads):
            read = 2 * 4.0 * dim * keys / splits
            tasks.append(({"batch": 0, "head": head * group, "heads": group, "row_block": 0, "column_block": split, "kernel": "key-rows",
                           "flops": group * 4.0 * dim * keys / splits, "bytes": read},
                          read / (1e3 * READ_GB_PER_S / 2) * numbers.uniform(0.93, 1.1)))
    return tasks


def matmul_tasks(rows=6, columns=4, duration=38.0, seed=3):
    numbers = random.Random(seed)
    return [({"batch": 0, "head": 0, "heads": 1, "row_block": row, "column_block": column, "kernel": "matmul", "flops": duration * 1e5, "bytes": 4e5},
             duration * numbers.uniform(0.95, 1.05)) for row in range(rows) for column in range(columns)]


def worker_figures(tasks, workers, end):
    rows = []
    for worker in range(workers):
        mine = [task for task in tasks if task["worker"] == worker]
        busy = sum(task["end_us"] - task["start_us"] for task in mine)
        first = min((task["start_us"] for task in mine), default=end)
        tail = end - max((task["end_us"] for task in mine), default=0)
        rows.append({"worker": worker, "busy_us": busy, "idle_us": end - busy, "wake_up_us": first, "tail_us": tail, "tasks": len(mine),
                     "heads": len({(task["batch"], task["head"]) for task in mine})})
    return rows


def head_figures(tasks):
    groups = {}
    for task in tasks:
        if task["kernel"] != "matmul":
            groups.setdefault((task["batch"], task["head"], task["heads"]), []).append(task)
    times = {key: sum(task["end_us"] - task["start_us"] for task in group) for key, group in groups.items()}
    median, total = statistics.median(times.values()), sum(times.values())
    return [{"batch": batch, "head": head, "heads": heads, "us": us, "share": us / total, "flops": sum(t["flops"] for t in groups[batch, head, heads]),
             "gflops": sum(t["flops"] for t in groups[batch, head, heads]) / us / 1e3, "ratio_to_median": us / median,
             "workers": sorted({t["worker"] for t in groups[batch, head, heads]})} for (batch, head, heads), us in sorted(times.items())]


def what_if(tasks):
    """heads: a head is one task; heads-queries: tasks as they are."""
    whole = {}
    for record, duration in tasks:
        whole[record["batch"], record["head"]] = whole.get((record["batch"], record["head"]), 0) + duration
    by_head = [({}, duration) for duration in sorted(whole.values(), reverse=True)]
    single, points = sum(duration for _, duration in tasks), []
    for schedule, work in (("heads", by_head), ("heads-queries", tasks)):
        for workers in sorted({1, 2, 4, 8, 16, 32, 64, 128, 256, len(by_head)} & set(range(257))):
            _, end = list_schedule(work, workers, wake_up=0 if workers == 1 else WAKE_UP_US)
            points.append({"workers": workers, "schedule": schedule, "seconds": end / 1e6, "parallel_efficiency": single / end / workers})
    return points


def make_run(case, operation, workers, loops, schedule="auto", diagnosis=(), parts=None, disturbance=0.0):
    """loops: [operation, tasks as (record, us)], one after the other; parts: the tasks of the finest schedule where these are others."""
    tasks, records, begin = [], [], 0.0
    for index, (name, work) in enumerate(loops):
        done, end = list_schedule(work, workers, begin)
        tasks += [{"loop": index, **task} for task in done]
        records.append({"operation": name, "workers": workers, "tasks": len(work), "start_us": round(begin, 3), "end_us": round(end + 1, 3)})
        begin = end + 2
    end = records[-1]["end_us"]
    lanes = worker_figures(tasks, workers, end)
    busy, flops, read = sum(lane["busy_us"] for lane in lanes), sum(t["flops"] for t in tasks), sum(t["bytes"] for t in tasks)
    balance = busy / workers / max(lane["busy_us"] for lane in lanes)
    efficiency = busy / workers / end
    peak, bandwidth = FMA_GFLOPS * workers, READ_GB_PER_S * min(workers, 2) ** 0.1
    speedup = efficiency * workers
    return {"case": case, "operation": operation, "threads": workers, "schedule": schedule, "seconds": end / 1e6, "repeats": 20,
            "disturbed": disturbance > 0, "disturbance": disturbance, "attempts": 3 if disturbance > 0 else 1, "dropped": 0,
            "loops": records, "tasks": tasks, "workers": lanes, "heads": head_figures(tasks),
            "metrics": {"load_balance": balance, "communication_efficiency": efficiency / balance, "serialization_efficiency": efficiency / balance / 0.999,
                        "transfer_efficiency": 0.999, "parallel_efficiency": efficiency, "computation_scaling": 1.0, "ipc_scaling": None,
                        "frequency_scaling": None, "global_efficiency": efficiency, "speedup": speedup,
                        "karp_flatt": (1 / speedup - 1 / workers) / (1 - 1 / workers) if workers > 1 else None},
            "roofline": {"intensity": flops / read, "gflops": flops / end / 1e3, "fma_gflops": peak, "read_gb_per_s": bandwidth,
                         "bound": "compute" if flops / read * bandwidth > peak else "bandwidth"},
            "what_if": what_if(parts or [pair for _, work in loops for pair in work]), "diagnosis": list(diagnosis)}


def attention_run(workers=2, case="attention:b=1,hq=12,hkv=12,sq=512,skv=512,d=64,causal=bottom-right", schedule="auto"):
    tasks = whole_heads(attention_tasks()) if schedule == "heads" else attention_tasks()
    return make_run(case, "attention", workers, [("attention", tasks)], schedule,
                    ["Head 11 takes 1.6 times as long as the median head.",
                     "12 heads on 8 workers: heads alone can reach at most 75 %; heads x 8 query blocks reach 96 %."], attention_tasks())


def decode_run(workers=2):
    return make_run("attention:b=1,hq=32,hkv=4,sq=1,skv=8192,d=128", "attention", workers, [("attention", decode_tasks())],
                    diagnosis=["Bound by reading keys and values: more workers help only as far as they read faster."], disturbance=0.21)


def layer_run(workers=4):
    return make_run("layer:s=512,model=768,heads=12", "layer", workers,
                    [("matmul", matmul_tasks(6, 6)), ("rope", [({"batch": 0, "head": head, "heads": 1, "row_block": 0, "column_block": 0, "kernel": "rope",
                                                                 "flops": 2e5, "bytes": 3e5}, 6.0) for head in range(12)]),
                     ("attention", attention_tasks()), ("matmul", matmul_tasks(6, 2, seed=4))], diagnosis=["Products take most of the time."])


def profile(runs):
    return {"schema": "headwise.profile/1", "version": "0.1.0", "machine": machine(sorted({run["threads"] for run in runs} | {1})), "runs": runs}


def wide_run(workers=64, heads=40, blocks=125):
    return make_run(f"attention:b=4,hq={heads},sq=8000,skv=8000,d=64", "attention", workers, [("attention", attention_tasks(heads, blocks, batch=4))])


SAMPLES = {
    "sample": lambda: profile([attention_run(), decode_run()]),
    "rows": lambda: profile([attention_run(workers, schedule=schedule) for workers in (1, 2, 4, 8) for schedule in ("heads", "heads-queries")]),
    "layer": lambda: profile([layer_run()]),
    "wide": lambda: profile([wide_run()]),
    "hostile": lambda: profile([attention_run(1, case=name) for name in HOSTILE_NAMES]),
}


def sample_text(name):
    return json.dumps(SAMPLES[name](), ensure_ascii=False)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SAMPLES:
        sys.exit(f"usage: profile_sample.py {'|'.join(SAMPLES)}")
    sys.stdout.reconfigure(encoding="utf-8")
    print(sample_text(sys.argv[1]))
