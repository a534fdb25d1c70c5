"""Runs the end-to-end tests: all, or those whose name has a given text in it. `--list` names them."""

import argparse
import json
import pathlib
import sys
import time
import unittest

import harness

HERE = pathlib.Path(__file__).resolve().parent


def flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    tests = []
    for item in suite:
        tests += flatten(item) if isinstance(item, unittest.TestSuite) else [item]
    return tests


class Results(unittest.TextTestResult):
    """Names of what passed and failed, with the time each took."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed: list[str] = []
        self.failed: list[str] = []

    def startTest(self, test) -> None:
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test) -> None:
        super().addSuccess(test)
        self.passed.append(test.id())

    def addFailure(self, test, error) -> None:
        super().addFailure(test, error)
        self.note(test)

    def addError(self, test, error) -> None:
        super().addError(test, error)
        self.note(test)

    def note(self, test) -> None:
        self.failed.append(test.id())
        harness.failures.add(type(test).__name__ if isinstance(test, unittest.TestCase) and not hasattr(test, "description") else
                             test.id().rpartition(".")[2].rstrip(")"))

    def addSkip(self, test, reason) -> None:
        super().addSkip(test, reason)
        self.failed.append(f"{test.id()} (skipped: {reason})")  # a test that didn't run has not passed


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/run e2e")
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--report", help="write passed and failed names there, as JSON")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    found = flatten(unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py", top_level_dir=str(HERE)))
    chosen = [t for t in found if args.name in t.id()]
    if args.list or not chosen:
        print("\n".join(t.id() for t in found), file=sys.stdout if args.list else sys.stderr)
        return 0 if args.list else 1
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Results)
    results = runner.run(unittest.TestSuite(unittest.defaultTestLoader.suiteClass(group) for group in by_class(chosen)))
    if args.report:
        pathlib.Path(args.report).write_text(json.dumps({"passed": results.passed, "failed": results.failed}))
    return 0 if results.passed and not results.failed else 1


def by_class(tests: list[unittest.TestCase]) -> list[list[unittest.TestCase]]:
    groups: dict[type, list[unittest.TestCase]] = {}
    for test in tests:
        groups.setdefault(type(test), []).append(test)
    return list(groups.values())


if __name__ == "__main__":
    sys.exit(main())
