"""Labelled memories for topics: two sets of twelve themes, generated from templates of varied wording.

The sets share neither themes nor sentence frames. "first" is the one that the parameters of the fit were chosen on;
"second" was only measured. A text is a frame with its slots filled; no text comes twice.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SLOT = re.compile(r"\{(\w+)\}")
_SHARED: dict[str, Sequence[str]] = {
    "who": ("User", "Maya", "Tom", "Ingrid", "Carlos", "Aisha", "User's brother", "User's neighbour"),
    "when": ("in March", "last spring", "on 2026-02-11", "every Thursday", "during the holidays", "this year"),
}


@dataclass(frozen=True, slots=True)
class Theme:
    """Sentence frames, and what may fill their slots."""

    frames: Sequence[str]
    slots: Mapping[str, Sequence[str]]


def _theme(frames: str, **slots: str) -> Theme:
    return Theme(
        [line.strip() for line in frames.strip().splitlines()],
        {name: [word.strip() for word in words.split("|")] for name, words in slots.items()},
    )


FIRST: dict[str, Theme] = {
    "cooking": _theme(
        """
        {who} bakes {dish} with {thing}
        The recipe for {dish} calls for {thing} and a hot oven
        {who} learned to make {dish} from a grandmother
        {dish} turned out too salty {when}
        User never cooks {dish} without {thing}
        For dinner {who} usually simmers {dish} on the stove
        {who} bought a cast-iron pan to fry {dish}
        User's kitchen smells of {thing} after making {dish}
        """,
        dish="lasagne|pumpkin soup|sourdough bread|mushroom risotto|chicken curry|lentil stew|apple pie|ramen",
        thing="fresh basil|smoked paprika|garlic butter|coconut milk|parmesan|cumin seeds|rosemary",
    ),
    "travel": _theme(
        """
        {who} flies to {place} {when}
        A hotel near the old town of {place} is booked {when}
        {who} wants to see {sight} in {place}
        User's flight home from {place} was delayed by five hours
        {who} applied for a visa to visit {place}
        The train ride through {place} was the best part of the trip
        User packed too many suitcases for {place}
        {who} rented a car to drive from the airport to {sight}
        """,
        place="Lisbon|Kyoto|Morocco|Vietnam|Iceland|Patagonia|Croatia|Edinburgh",
        sight="the castle|the temples|the night market|the volcano|the fjords|the national park",
    ),
    "fitness": _theme(
        """
        {who} trains for {race} {when}
        Personal best of {who} in {race} was beaten {when}
        {who} goes to the gym to do {exercise}
        The coach told {who} to add {exercise} to the workout
        After {exercise} User stretches for ten minutes
        {who} jogs six kilometres before breakfast
        User tracks heart rate during {exercise} with a sports watch
        Sore muscles from {exercise} kept {who} off the treadmill
        """,
        race="a half marathon|a triathlon|the city 10k run|a trail race|an ultramarathon",
        exercise="squats|deadlifts|interval sprints|push-ups|rowing|kettlebell swings|planks|hill repeats",
    ),
    "health": _theme(
        """
        {who} takes {drug} against {illness}
        The doctor diagnosed {who} with {illness} {when}
        {who} is allergic to {drug}
        A blood test for {illness} is due {when}
        Symptoms of {illness} got worse {when}
        User's physician raised the dose of {drug}
        {who} saw a specialist at the clinic about {illness}
        The pharmacy was out of {drug} {when}
        """,
        drug="ibuprofen|penicillin|antihistamines|insulin|metformin|beta blockers|aspirin",
        illness="migraine|asthma|high blood pressure|diabetes|hay fever|anaemia|back pain",
    ),
    "software": _theme(
        """
        {who} writes the backend in {tech}
        A bug in {tech} broke the build {when}
        The team deploys {tech} with continuous integration
        {who} reviewed a pull request that refactors {tech}
        User debugs {tech} with breakpoints and unit tests
        Migrating the codebase to {tech} took three sprints
        {who} prefers {tech} over other frameworks
        The API server crashed because {tech} ran out of memory
        """,
        tech="Python|Kubernetes|PostgreSQL|TypeScript|Django|Redis|Rust|React|Docker",
    ),
    "pets": _theme(
        """
        {who} adopted {pet} from a shelter {when}
        {pet} of {who} refuses to eat dry food
        The vet vaccinated {pet} {when}
        {who} takes {pet} for a walk in the park
        {pet} chewed up a leather shoe
        User brushes the fur of {pet} on Sundays
        {who} hired a sitter to feed {pet} {when}
        {pet} is afraid of thunder and hides under the sofa
        """,
        pet="the beagle|a tabby cat|the old labrador|two kittens|the poodle puppy|a rabbit|the parrot|the terrier",
    ),
    "finance": _theme(
        """
        {who} saves for {goal} in {account}
        The bank charges a fee on {account}
        {who} moved money into {account} {when}
        User's budget leaves 300 euros a month for {goal}
        Interest on {account} went up {when}
        {who} took out a loan to pay for {goal}
        User files the tax return for {account} {when}
        Investing in {account} lost {who} some money
        """,
        goal="retirement|a deposit on a house|the mortgage|an emergency fund|a new car",
        account="an index fund|a savings account|a pension plan|government bonds|a credit card|shares",
    ),
    "music": _theme(
        """
        {who} plays {instrument} in a band
        User practises scales on {instrument} every evening
        {who} went to a concert with {instrument} and drums {when}
        A new string for {instrument} cost twenty euros
        {who} listens to {genre} while falling asleep
        User's favourite album is {genre} from the seventies
        {who} composes {genre} songs for {instrument}
        The choir rehearses {genre} {when}
        """,
        instrument="the cello|a bass guitar|the piano|a saxophone|the violin|a banjo",
        genre="jazz|baroque music|indie rock|blues|folk music|opera",
    ),
    "gardening": _theme(
        """
        {who} planted {plant} in the raised bed {when}
        Slugs ate {plant} in the garden
        {plant} need compost and plenty of water
        {who} prunes {plant} {when}
        Seeds of {plant} sprouted on the windowsill
        User waters {plant} before work
        {who} harvested {plant} from the greenhouse {when}
        The soil is too dry for {plant}
        """,
        plant="tomatoes|the roses|courgettes|lavender bushes|strawberries|the hydrangeas|tulip bulbs|runner beans",
    ),
    "education": _theme(
        """
        {who} studies {subject} at university
        The exam in {subject} is {when}
        {who} wrote a thesis about {subject}
        User's professor of {subject} gives long lectures
        {who} failed the homework assignment in {subject}
        A scholarship lets {who} take courses in {subject}
        User enrolled in an evening class for {subject}
        {who} tutors first-year students in {subject}
        """,
        subject="organic chemistry|linear algebra|art history|sociology|statistics|philosophy|microbiology",
    ),
    "family": _theme(
        """
        User's {kin} got married {when}
        User's {kin} has three children
        The birthday of User's {kin} is {when}
        User's parents are visiting {kin} {when}
        User's {kin} and {kin2} quarrelled at the wedding
        {kin} of User is expecting a baby {when}
        User phones {kin} on Sundays to hear about the grandchildren
        User's {kin} moved in with the {kin2}
        """,
        kin="sister|cousin|older brother|aunt|niece|daughter|stepmother",
        kin2="grandfather|twin|uncle|mother-in-law|nephew",
    ),
    "home": _theme(
        """
        {who} renovates {room} of the apartment {when}
        The plumber repaired {fixture} in {room}
        {who} painted the walls of {room} light grey
        {fixture} in {room} is leaking
        The landlord will replace {fixture} {when}
        {who} ordered new curtains and a carpet for {room}
        An electrician rewired {room} {when}
        {who} wants to tile the floor of {room}
        """,
        room="the bathroom|the hallway|the attic|the guest bedroom|the living room",
        fixture="the boiler|the tap|the radiator|the window frame|the dishwasher",
    ),
}

SECOND: dict[str, Theme] = {
    "cars": _theme(
        """
        My {car} needs {part} before winter
        The mechanic quoted 400 dollars for {part}
        Sold the {car} because it used too much petrol
        The garage will look at {part} of the {car}
        Warning light for {part} came on while driving on the motorway
        Test drove a {car} at the dealership
        """,
        car="Volvo estate|Toyota Corolla|electric Fiat|old pickup truck|Tesla",
        part="new brake pads|an oil change|winter tyres|the clutch|the exhaust|a battery",
    ),
    "football": _theme(
        """
        {club} won the match two to one in extra time
        Has a season ticket for {club}
        Thinks the referee robbed {club} of a penalty
        The striker of {club} scored a hat-trick
        Watches {club} in the pub with friends from the league
        {club} sacked the manager after relegation
        The goalkeeper of {club} was injured in the derby
        """,
        club="Arsenal|Ajax|Celtic|Borussia Dortmund|Real Betis|Leeds United",
    ),
    "films": _theme(
        """
        Cried at the end of {film}
        Saw {film} at the cinema with subtitles
        Says the director of {film} deserved an Oscar
        {film} is the favourite movie of all time
        The actor who plays the villain in {film} was brilliant
        Streams {film} again with popcorn
        """,
        film="a French thriller|the space documentary|an old western|an animation|a horror sequel|a silent comedy",
    ),
    "astronomy": _theme(
        """
        Photographed {object} through a telescope
        Clouds hid {object} all night
        The observatory shows {object} to visitors
        {object} is bright in the sky before dawn
        Wants a bigger lens to see {object} in detail
        Gave a talk about the orbit of {object}
        """,
        object="the rings of Saturn|Andromeda|a lunar eclipse|Jupiter and its moons|the comet|the Orion nebula",
    ),
    "fishing": _theme(
        """
        Caught {fish} at the lake with a fly rod
        Uses {bait} as bait for {fish}
        Released {fish} because it was under size
        The boat drifted while reeling in {fish}
        Fishing licence for {fish} runs out in autumn
        Lost the hook and {bait} to {fish}
        """,
        fish="a pike|trout|a large carp|sea bass|perch|salmon",
        bait="worms|a silver lure|sweetcorn|maggots",
    ),
    "hiring": _theme(
        """
        Interviewed {n} candidates for the {job} vacancy
        The recruiter offered a higher salary for the {job} position
        Polishes a CV to apply as {job}
        Was promoted to {job} after the annual review
        Signed the employment contract as {job}
        Handed in notice at work to become {job}
        """,
        n="two|three|five|eight",
        job="sales director|payroll clerk|product owner|office manager|head of marketing|team lead",
    ),
    "weddings": _theme(
        """
        The bride wants {thing} at the ceremony
        Invitations to the wedding mention {thing}
        The caterer and {thing} are over budget for the reception
        Engaged at Easter and already choosing {thing}
        The best man forgot {thing}
        Vows first then {thing} then dancing
        """,
        thing="a string quartet|white peonies|the rings|a three-tier cake|a photo booth|a marquee",
    ),
    "birds": _theme(
        """
        Heard {bird} singing in the hedge
        Put up a nest box for {bird}
        Counts {bird} for the migration survey
        {bird} came to the feeder in the snow
        Bought binoculars to watch {bird} on the marsh
        A ringed {bird} was spotted on the coast
        """,
        bird="blue tits|a kingfisher|the barn owl|swallows|a robin|an osprey",
    ),
    "law": _theme(
        """
        The lawyer advised against signing {paper}
        Is being sued over {paper}
        The court hearing about {paper} was adjourned
        A judge ruled that {paper} is void
        Needs a notary to witness {paper}
        Settled the dispute on {paper} out of court
        """,
        paper="the lease|a patent|the will|the divorce papers|a non-disclosure agreement|the deed",
    ),
    "sleep": _theme(
        """
        Lies awake until {hour} with insomnia
        Woke at {hour} from a nightmare
        Falls asleep faster with {aid}
        Snores less when using {aid}
        Naps in the afternoon after a bad night
        Bought {aid} to sleep through until {hour}
        Set an alarm for {hour} but overslept
        """,
        hour="three|four in the morning|half past five|six o'clock",
        aid="earplugs|a weighted blanket|a firmer mattress|blackout blinds|melatonin",
    ),
    "photography": _theme(
        """
        Shoots portraits with {gear}
        Developed a roll of film in the darkroom with {gear}
        Uses {gear} for long exposures
        Dropped {gear} and cracked the camera sensor
        Prefers black and white prints made with {gear}
        Compares the aperture of {gear} before buying
        Edits raw photos taken with {gear}
        """,
        gear="a prime lens|an old Leica|a tripod|a wide-angle lens|a mirrorless Nikon|a flash",
    ),
    "climate": _theme(
        """
        {region} had record rainfall and floods
        A heatwave dried out {region}
        Scientists warn that {region} will warm by two degrees
        Storm damage in {region} cost millions
        Carbon emissions from {region} fell again
        Wind farms in {region} replace coal power
        Sea level rise threatens {region}
        """,
        region="the delta|southern Spain|the Arctic coast|the Alps|Bangladesh|the North Sea states",
    ),
}


def _filled(frame: str, slots: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    text = _SLOT.sub(lambda match: chance.choice(slots.get(match[1]) or _SHARED[match[1]]), frame)
    return text[0].upper() + text[1:] + "."


def generate(themes: Mapping[str, Theme], *, per_theme: int, seed: int = 7) -> list[tuple[str, str]]:
    """(text, theme) pairs in random order: at most `per_theme` of each, fewer when the frames give no more."""
    chance = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    for name, theme in themes.items():
        texts: dict[str, None] = {}
        for attempt in range(per_theme * 40):
            texts.setdefault(_filled(theme.frames[attempt % len(theme.frames)], theme.slots, chance))
            if len(texts) == per_theme:
                break
        pairs += [(text, name) for text in texts]
    chance.shuffle(pairs)
    return pairs
