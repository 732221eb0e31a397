"""Sample people, organizations and a course, of the kind a real academy has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PASSWORD = "a sample password"  # noqa: S105 - for sample accounts on a developer's machine
SUPER_ADMIN = ("root@platform.example", "Robin Platform")


@dataclass(frozen=True, slots=True)
class Person:
    """A sample account; `account_type` is student, instructor or admin."""

    email: str
    name: str
    account_type: str


@dataclass(frozen=True, slots=True)
class SampleOrganization:
    """A sample organization and the people who join it; the first is its first admin."""

    slug: str
    name: str
    currency: str
    time_zone: str
    people: tuple[Person, ...]


ACME = SampleOrganization(
    "acme",
    "Acme Field Engineering Academy",
    "EUR",
    "Europe/Berlin",
    (
        Person("dana.weiss@acme.example", "Dana Weiss", "admin"),
        Person("ines.moreau@acme.example", "Ines Moreau", "instructor"),
        Person("sam.okafor@acme.example", "Sam Okafor", "student"),
        Person("lea.novak@acme.example", "Lea Novák", "student"),
    ),
)
GLOBEX = SampleOrganization(
    "globex",
    "Globex Care Learning",
    "USD",
    "America/New_York",
    (
        Person("victor.hale@globex.example", "Victor Hale", "admin"),
        Person("priya.raman@globex.example", "Priya Raman", "instructor"),
        Person("tom.alvarez@globex.example", "Tom Alvarez", "student"),
    ),
)
ORGANIZATIONS = (ACME, GLOBEX)

COURSE = {
    "title": "Commissioning a rooftop heat pump",
    "summary": (
        "From unpacking the outdoor unit to handing over a system that runs quietly at its design"
        " point: what to measure, in which order, and what the numbers tell you."
    ),
    "language": "en",
}
RUN_TITLE = "January 2027 cohort"
PRICE_MINOR_UNITS = 14_900
TOP_UP_MINOR_UNITS = 20_000
CAPACITY = 12


def _text(title: str, content: str, seconds: int, rule: str = "viewed") -> dict[str, Any]:
    return {
        "kind": "text",
        "title": title,
        "content": content,
        "estimated_seconds": seconds,
        "completion": {"rule": rule},
    }


MODULES: tuple[tuple[str, str, tuple[dict[str, Any], ...]], ...] = (
    (
        "Before you switch it on",
        "Site, refrigerant circuit and hydraulics, checked while nothing can break yet.",
        (
            _text(
                "Reading the site like an installer",
                "Walk around the unit once before you open it.\n\n* At least **30 cm** of free air"
                " behind the evaporator.\n* Condensate drains away from walking paths.\n* The"
                " service valves can be reached without a ladder.\n\nWrite down what you see;"
                " the handover protocol starts here.",
                420,
            ),
            {
                "kind": "video",
                "title": "Watch: the first ten minutes on the roof",
                "content": "Note the order of the checks. You will do them yourself next week.",
                "estimated_seconds": 600,
                "completion": {"rule": "watched", "percent": 90},
            },
            _text(
                "Evacuation and standing vacuum test",
                "Pull the circuit below **1 mbar**, close the pump valve and wait. A rise that"
                " levels off is moisture; a rise that goes on is a leak. Do not top up with"
                " refrigerant what you cannot explain.",
                540,
            ),
        ),
    ),
    (
        "Running at the design point",
        "Flow, curve and defrost: from a machine that runs to one that runs well.",
        (
            _text(
                "Setting the flow for a 5 K spread",
                "Heat output is flow times spread. With the compressor at nominal speed, open the"
                " balancing valve until supply and return differ by **5 K**, then note the pump's"
                " speed.",
                480,
            ),
            {
                "kind": "document",
                "title": "Handover protocol (PDF)",
                "content": "Print it, or fill it in on a tablet. Page 2 is the customer's.",
                "estimated_seconds": 300,
                "completion": {"rule": "viewed"},
            },
            _text(
                "Choosing the heating curve",
                "Start low. A curve that is too steep hides every other mistake and costs about"
                " 2.5 % of efficiency per kelvin of supply temperature.",
                450,
                rule="marked_by_learner",
            ),
        ),
    ),
)
