"""JSON records and answers about them, made from templates of our own, for the packaged weights."""

import json

import numpy as np

from eval.metrics.groundedness_fit import LabelledAnswer
from eval.sample import Passage, Sample

NAMES = (
    "Blue Lantern",
    "Corner Oak",
    "Marigold House",
    "Silver Fern",
    "The Copper Pot",
    "Harbour Nine",
    "Willow Court",
)
PLACES = (
    ("Ostrava", "12 Linden Road"),
    ("Galway", "77 Quay Street"),
    ("Tacoma", "305 Alder Ave"),
    ("Leeds", "9 Mill Row"),
)
KINDS = ("Hotel", "Bakery", "Climbing Gym", "Italian Restaurant", "Pet Clinic", "Book Shop")
TOLD = {
    "OutdoorSeating": ("It has outdoor seating.", "There is no outdoor seating."),
    "WiFi": ("Free WiFi is available for guests.", "It does not offer WiFi."),
    "AcceptsCards": ("Cards are accepted.", "Cards are not accepted."),
    "Elevator": ("An elevator takes visitors upstairs.", "There is no elevator."),
    "Delivery": ("They offer delivery.", "They do not offer delivery."),
    "Reservations": ("You can make reservations.", "It does not take reservations."),
    "LiveMusic": ("Live music is played for the guests.", "It has no live music."),
    "BikeParking": ("It provides bike parking.", "Bike parking is not provided."),
}
REVIEWS = (
    (
        "The staff were patient and explained everything twice.",
        "Guests praise the patient staff.",
        "The staff are rude.",
    ),
    (
        "I waited forty minutes and nobody said sorry.",
        "One visitor waited forty minutes.",
        "A visitor waited two hours.",
    ),
    (
        "Lovely smell of fresh bread and friendly prices.",
        "Reviewers like the friendly prices.",
        "The prices are steep.",
    ),
    ("The rooms upstairs were cold in the morning.", "A guest found the rooms cold.", "A guest enjoyed the sauna."),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
INVENTED = (
    "It is a popular meeting point for families and students.",
    "The place has a cosy and romantic atmosphere.",
    "Desserts and cocktails are among the favourites of regular guests.",
    "The owner has won several prizes for service.",
)


def own_records(count: int, rng: np.random.Generator) -> list[LabelledAnswer]:
    """Make records with one answer each; about half of the answers hold something the record does not."""
    return [own_record(number, rng) for number in range(count)]


def own_record(number: int, rng: np.random.Generator) -> LabelledAnswer:
    """Make one record and an answer that tells it rightly, or wrongly in one or two sentences."""
    name, kind = str(rng.choice(NAMES)), str(rng.choice(KINDS))
    city, street = PLACES[int(rng.integers(len(PLACES)))]
    fields: dict[str, bool | None] = {key: (True, False, None)[int(rng.integers(3))] for key in TOLD}
    opens, closes = int(rng.integers(7, 12)), int(rng.integers(17, 23))
    first, last = sorted(rng.choice(7, size=2, replace=False).tolist())
    stars = float(rng.integers(4, 11)) / 2
    reviews = [REVIEWS[int(place)] for place in rng.choice(len(REVIEWS), size=2, replace=False)]
    record = {
        "name": name, "address": street, "city": city, "categories": kind,
        "hours": dict.fromkeys(DAYS[first:last + 1], f"{opens}:0-{closes}:0"),
        "attributes": fields, "stars": stars, "reviews": [{"text": said} for said, _, _ in reviews],
    }  # fmt: skip
    right = [f"{name} is a {kind.lower()} located at {street} in {city}."]
    right.append(f"It is open from {DAYS[first]} to {DAYS[last]}, {opens}:00 AM to {closes - 12}:00 PM.")
    right.append(f"It has a rating of {stars:g} stars.")
    right += [told for _, told, _ in reviews]
    right += [TOLD[key][0 if value else 1] for key, value in fields.items() if value is not None]
    unknown = [key for key, value in fields.items() if value is None]
    if unknown:
        right.append(f"The record does not mention {' or '.join(unknown[:2])}.")
    wrong = [f"It has a rating of {stars % 5 + 0.5:g} stars.", str(rng.choice(INVENTED)), reviews[0][2]]
    wrong.append(f"It is open from {DAYS[first]} to {DAYS[last]}, {opens + 1}:00 AM to {closes - 13}:30 PM.")
    wrong += [TOLD[key][1 if value else 0] for key, value in fields.items()]
    if last - first < 6:
        wrong.append(f"It is open daily from {opens}:00 AM to {closes - 12}:00 PM.")
    told = [(right[0], False)]
    told += [
        (right[int(i)], False)
        for i in rng.choice(np.arange(1, len(right)), size=int(rng.integers(2, 6)), replace=False)
    ]
    if rng.random() < 0.5:
        told += [(wrong[int(i)], True) for i in rng.choice(len(wrong), size=int(rng.integers(1, 3)), replace=False)]
    order = [0, *(1 + rng.permutation(len(told) - 1)).tolist()]
    passages = (Passage("record", json.dumps(record)),)
    return answer_of(f"own-record-{number}", "Describe this place.", passages, [told[place] for place in order])


def answer_of(
    name: str, question: str, passages: tuple[Passage, ...], told: list[tuple[str, bool]], group: str = ""
) -> LabelledAnswer:
    """Join sentences into an answer; True marks the unsupported ones, which become its spans."""
    response, spans = "", []
    for text, is_unsupported in told:
        if is_unsupported:
            spans.append((len(response), len(response) + len(text)))
        response += text + " "
    return LabelledAnswer(
        Sample(name, question, response.strip(), passages, group=group or name), not spans, tuple(spans)
    )
