import re

from harness.audit import RULES
from tests.support import REPO

PAGE = (REPO / "benchmarks" / "RULES.md").read_text()
RULES_PART, PRACTICES_PART = PAGE.split("## Unfair practices")
PRACTICES = 33


def plain(text):
    return " ".join(text.split())


def items():
    found = re.split(r"^(\d+)\. ", RULES_PART, flags=re.MULTILINE)[1:]
    return [(int(number), plain(text.split("\n## ")[0])) for number, text in zip(found[::2], found[1::2], strict=True)]


def test_the_page_and_the_code_list_the_same_rules_in_the_same_order():
    titles = [(number, text.partition(".**")[0].removeprefix("**")) for number, text in items()]
    assert titles == [(rule.number, rule.title) for rule in RULES]
    assert [rule.number for rule in RULES] == list(range(1, len(RULES) + 1))


def test_every_rule_stands_with_its_reason_and_how_it_is_checked():
    for (_, text), rule in zip(items(), RULES, strict=True):
        why, checked = text.partition("*Why:* ")[2].split(" *Checked:* ")
        assert why == rule.reason
        assert checked


def test_every_unfair_practice_is_answered_by_rules_that_exist():
    answered = {
        int(number): [int(rule) for rule in rules.split(", ")]
        for number, rules in re.findall(r"^(\d+)\. [^:]+: rules? ([\d, ]+)$", PRACTICES_PART, flags=re.MULTILINE)
    }
    assert list(answered) == list(range(1, PRACTICES + 1))
    assert {number for numbers in answered.values() for number in numbers} <= {rule.number for rule in RULES}
