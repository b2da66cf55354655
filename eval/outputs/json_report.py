"""A gate's result as `gate.json`, for machines; the schema's name changes when a field changes its meaning."""

import json
from dataclasses import asdict

from eval.gate import GateResult
from eval.outputs.words import headline

SCHEMA = "flywheel.gate/1"


def gate_json(result: GateResult, exit_code: int) -> str:
    """Write the whole result; text stays what it was, in ASCII escapes."""
    counts = {"worse": result.worse, "better": result.better}
    found = {"schema": SCHEMA, "exit_code": exit_code, "headline": headline(result), **asdict(result), **counts}
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def failure_json(message: str, exit_code: int) -> str:
    """Write that a gate could not decide because too little was measured."""
    return json.dumps({"schema": SCHEMA, "exit_code": exit_code, "verdict": None, "error": message}, indent=1) + "\n"
