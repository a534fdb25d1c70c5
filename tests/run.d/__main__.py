"""The test runner behind tests/run: parts that each give names of what passed and what failed."""

import argparse
import ast
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

TREE = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("lint", "unit", "e2e", "fuzz")
UNIT_PRESETS = ("release", "asan")
# clang-tidy reads what has no heavy headers; the other code is held by the compilers' warnings.
TIDY_FOLDERS = ("common", "agent/ike", "agent/esp", "agent/policy")


@dataclass
class Outcome:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, name: str, good: bool, output: str = "") -> None:
        (self.passed if good else self.failed).append(name)
        if not good:
            print(f"FAILED {name}", flush=True)
            if output.strip():
                print("\n".join("    " + line for line in output.strip().splitlines()[-60:]), flush=True)

    def join(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.failed += other.failed


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, **options)


def build(preset: str, *targets: str) -> bool:
    print(f"building {preset}", flush=True)
    return subprocess.run([str(TREE / "deploy/build"), preset, *(targets or ("all",))], cwd=TREE).returncode == 0


def tracked() -> list[str]:
    """Files of the tree; of the folder when this is no git clone."""
    listed = run("git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard")
    if listed.returncode == 0:
        return [f for f in listed.stdout.splitlines() if (TREE / f).is_file()]
    return [str(p.relative_to(TREE)) for p in TREE.rglob("*") if p.is_file() and "build" not in p.relative_to(TREE).parts]


# ---- lint


def lint(name: str | None) -> Outcome:
    outcome = Outcome()
    checks = {"format": lint_format, "tidy": lint_tidy, "bash": lint_bash, "python": lint_python, "yaml": lint_yaml}
    for word, check in checks.items():
        if name is None or name in word:
            check(outcome)
    return outcome


def lint_format(outcome: Outcome) -> None:
    sources = [f for f in tracked() if f.endswith((".h", ".cc", ".c"))]
    for source in sources:
        done = run("clang-format-19", "--dry-run", "-Werror", source)
        outcome.add(f"format {source}", done.returncode == 0, done.stderr)


def lint_tidy(outcome: Outcome) -> None:
    if not build("release", "espalier_proto"):
        outcome.add("tidy (build of generated headers)", False)
        return
    sources = [f for f in tracked() if f.endswith(".cc") and f.startswith(TIDY_FOLDERS) and not f.endswith(("_test.cc", "_fuzz.cc"))]

    def tidy(source: str) -> tuple[str, subprocess.CompletedProcess]:
        return source, run("clang-tidy-19", "-p", "build/release", "--quiet", "--warnings-as-errors=*",
                           "--extra-arg=-Wno-unknown-warning-option", source)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for source, done in pool.map(tidy, sources):
            outcome.add(f"tidy {source}", done.returncode == 0, done.stdout)


def first_line(path: str) -> str:
    with open(TREE / path, "rb") as file:
        return file.readline(200).decode(errors="replace")


def lint_bash(outcome: Outcome) -> None:
    for path in tracked():
        if path.endswith(".sh") or ("." not in pathlib.Path(path).name and re.match(r"#!.*\bbash\b", first_line(path))):
            done = run("bash", "-n", path)
            outcome.add(f"bash {path}", done.returncode == 0, done.stderr)


def lint_python(outcome: Outcome) -> None:
    for path in tracked():
        if path.endswith(".py") or ("." not in pathlib.Path(path).name and re.match(r"#!.*\bpython3\b", first_line(path))):
            try:
                ast.parse((TREE / path).read_text(), path)
                outcome.add(f"python {path}", True)
            except SyntaxError as error:
                outcome.add(f"python {path}", False, str(error))


def lint_yaml(outcome: Outcome) -> None:
    import yaml

    for path in tracked():
        if path.endswith((".yaml", ".yml")) and not path.startswith("tests/"):
            try:
                list(yaml.safe_load_all((TREE / path).read_text()))
                outcome.add(f"yaml {path}", True)
            except yaml.YAMLError as error:
                outcome.add(f"yaml {path}", False, str(error))


# ---- what ctest knows


def ctest(preset: str, label: str, name: str | None, jobs: int) -> Outcome:
    report = TREE / "build" / preset / f"ctest-{label}.xml"
    command = ["ctest", "--test-dir", f"build/{preset}", "-L", f"^{label}$", "--no-tests=error", "--output-on-failure",
               "-j", str(jobs), "--output-junit", str(report)]
    if name:
        command += ["-R", name]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    report.unlink(missing_ok=True)
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    for line in process.stdout:
        if not re.search(r"(^\s*Start\s+\d+:|\.\.\.+\s+Passed|^\s*$|^Internal ctest|^Label Time Summary|^\w+\s+=\s+[\d.]+ sec)", line):
            print("  " + line.rstrip(), flush=True)
    process.wait()
    outcome = Outcome()
    if report.exists():
        import xml.etree.ElementTree as tree

        for case in tree.parse(report).getroot().iter("testcase"):
            (outcome.passed if case.get("status") == "run" else outcome.failed).append(f"{label} ({preset}) {case.get('name')}")
    if process.returncode != 0 and not outcome.failed:
        outcome.add(f"{label} ({preset}): ctest ended with {process.returncode}", False)
    return outcome


def unit(name: str | None, presets: tuple[str, ...] = UNIT_PRESETS) -> Outcome:
    outcome = Outcome()
    for preset in presets:
        if build(preset):
            # Tests with sockets and namespaces share the machine's clock: one a core, no more.
            outcome.join(ctest(preset, "unit", name, os.cpu_count() or 2))
        else:
            outcome.add(f"build of {preset}", False)
    return outcome


def fuzz(name: str | None) -> Outcome:
    outcome = Outcome()
    if not (TREE / "build/fuzz/build.ninja").exists():
        (TREE / "build/fuzz").mkdir(parents=True, exist_ok=True)
        done = run("cmake", "--preset", "fuzz")
        if done.returncode != 0:
            outcome.add("cmake --preset fuzz", False, done.stdout + done.stderr)
            return outcome
    listed = run("ctest", "--test-dir", "build/fuzz", "--show-only=json-v1", "-L", "^fuzz$")
    targets = [t["name"] for t in json.loads(listed.stdout)["tests"]]
    targets = [t for t in targets if name is None or re.search(name, t)]
    if not targets or not build("fuzz", *targets):
        outcome.add("build of the fuzzers", False, "" if targets else f"no fuzzer is named {name}")
        return outcome
    outcome.join(ctest("fuzz", "fuzz", name, os.cpu_count() or 2))
    return outcome


# ---- e2e and bench


def e2e(name: str | None) -> Outcome:
    outcome = Outcome()
    if not os.environ.get("ESPALIER_BIN") and not build("release", "espalier-controller", "espalier-agent", "espalierctl"):
        outcome.add("build of the programs", False)
        return outcome
    report = TREE / "build" / "e2e.json"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    code = subprocess.run([sys.executable, str(TREE / "tests/e2e"), "--report", str(report)] + ([name] if name else []), cwd=TREE).returncode
    if report.exists():
        results = json.loads(report.read_text())
        outcome.passed += [f"e2e {n}" for n in results["passed"]]
        outcome.failed += [f"e2e {n}" for n in results["failed"]]
    if code != 0 and not outcome.failed:
        outcome.add(f"e2e: ended with {code}", False)
    return outcome


def bench(name: str | None) -> Outcome:
    """Benchmarks print their own tables; one passes if it ends well."""
    outcome = Outcome()
    folder = TREE / "tests/bench"
    if not build("release"):
        outcome.add("build of release", False)
        return outcome
    scripts = [p for p in sorted(folder.iterdir()) if p.is_file() and os.access(p, os.X_OK)]
    programs = sorted((TREE / "build/release/bin").glob("bench*")) + sorted((TREE / "build/release/bin").glob("*_bench"))
    for path in scripts + programs:
        if name is None or name in path.name:
            print(f"== {path.relative_to(TREE)}", flush=True)
            outcome.add(f"bench {path.name}", subprocess.run([str(path)], cwd=TREE).returncode == 0)
    if not outcome.passed and not outcome.failed:
        outcome.add(f"bench: none is named {name}", False)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/run")
    parser.add_argument("part", nargs="?", choices=PARTS + ("bench",))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--preset", action="append", help="unit: this build only (can be repeated)")
    args = parser.parse_args()
    total, began = Outcome(), time.monotonic()
    for part in [args.part] if args.part else PARTS:
        print(f"== {part}", flush=True)
        started = time.monotonic()
        if part == "unit":
            outcome = unit(args.name, tuple(args.preset) if args.preset else UNIT_PRESETS)
        else:
            outcome = {"lint": lint, "e2e": e2e, "fuzz": fuzz, "bench": bench}[part](args.name)
        print(f"{part}: {len(outcome.passed)} passed, {len(outcome.failed)} failed, {time.monotonic() - started:.0f} s", flush=True)
        total.join(outcome)
    if total.failed:
        print("\nFailed:")
        for failed in total.failed:
            print(f"  {failed}")
    print(f"\n{len(total.passed)} passed, {len(total.failed)} failed in {time.monotonic() - began:.0f} s")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
