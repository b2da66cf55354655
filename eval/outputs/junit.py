"""A gate's result as JUnit XML: a test is a metric on a slice, or a critical case that broke."""

from xml.etree import ElementTree

from eval.gate import Comparison, GateResult
from eval.outputs.words import (
    equals,
    flips_in_words,
    headline,
    interval,
    percent,
    provenance,
    shown,
    what_decides,
)


def gate_junit(result: GateResult) -> str:
    """Write one failure for each thing that blocks, and one skipped test for each that could not be decided."""
    blocking = sum(one.counts_as == "BLOCK" for one in result.comparisons) + len(result.broken_critical_cases)
    undecided = sum(is_undecided(one) for one in result.comparisons)
    suite = ElementTree.Element(
        "testsuite",
        name="flywheel gate",
        tests=str(len(result.comparisons) + len(result.broken_critical_cases)),
        failures=str(blocking),
        errors="0",
        skipped=str(undecided),
    )
    for one in result.comparisons:
        add_comparison(suite, one)
    for case_id in result.broken_critical_cases:
        test = add_test(suite, "critical case", case_id)
        message = "failed in every repeat of the candidate and passed in the baseline"
        ElementTree.SubElement(test, "failure", message=message)
    told = [f"{result.verdict}: {headline(result)}", flips_in_words(result), provenance(result)]
    told += [f"worse: {flip.case_id} on {', '.join(flip.worse_on)}" for flip in result.flips if flip.is_worse]
    ElementTree.SubElement(suite, "system-out").text = shown("\n".join(told))
    return as_document(suite)


def failure_junit(message: str) -> str:
    """Write that nothing could be decided because too little was measured."""
    suite = ElementTree.Element("testsuite", name="flywheel gate", tests="1", failures="0", errors="1", skipped="0")
    ElementTree.SubElement(add_test(suite, "gate", "measured"), "error", message=shown(message))
    return as_document(suite)


def is_undecided(one: Comparison) -> bool:
    """Say whether a comparison neither passed nor blocked."""
    return one.verdict == "INCONCLUSIVE" and one.counts_as != "BLOCK"


def add_comparison(suite: ElementTree.Element, one: Comparison) -> None:
    """Add the test of one metric on one slice."""
    test = add_test(suite, one.metric, one.slice)
    figures = (
        f"{percent(one.baseline)} -> {percent(one.candidate)}, {interval(one)} points, margin {100 * one.margin:g}"
    )
    if one.counts_as == "BLOCK":
        p = one.p_worse if one.p_adjusted is None else one.p_adjusted
        ElementTree.SubElement(test, "failure", message=f"{figures}, p {equals(p)}")
    elif is_undecided(one):
        ElementTree.SubElement(test, "skipped", message=f"INCONCLUSIVE: {figures}; {what_decides(one)}")
    else:
        ElementTree.SubElement(test, "system-out").text = f"{one.verdict}: {figures}"


def add_test(suite: ElementTree.Element, of: str, name: str) -> ElementTree.Element:
    """Add one test."""
    return ElementTree.SubElement(suite, "testcase", classname=f"gate.{shown(of)}", name=shown(name))


def as_document(suite: ElementTree.Element) -> str:
    """Write the XML with its declaration."""
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
