"""The words that deduplication knows: numbers, dates, kinds of things, opposites, roles, changes."""

from __future__ import annotations

from app.word_sets import word_set

STOP_WORDS = word_set(
    """
    a an the is are was were be been being am do does did has have had having will would can could shall should may
    might must to of in on at by for with from as into onto and or but so that this these those there it its he she
    they them him her his their who which when where while also very really just quite rather only own some any each
    every one's named called known ve m re s d ll really still already currently presently usually normally often
    frequently regularly typically always t about it's up out per times big huge great avid
    """
)
NUMBER_WORDS = {
    word: str(number)
    for number, words in {
        0: "zero", 1: "one once single", 2: "two twice both twins couple", 3: "three thrice triplets", 4: "four",
        5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve dozen",
        13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen",
        20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety",
        100: "hundred", 1000: "thousand", 1000000: "million",
    }.items()
    for word in words.split()
}  # fmt: skip
ORDINALS = {
    word: str(number)
    for number, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), start=1
    )
}
UNITS = {
    word: unit
    for unit, words in {
        "km": "km kms kilometre kilometres kilometer kilometers k",
        "m": "metre metres meter meters",
        "mi": "mile miles mi",
        "kg": "kg kgs kilo kilos kilogram kilograms kilogramme kilogrammes",
        "lb": "lb lbs",
        "g": "gram grams g",
        "mg": "mg milligram milligrams",
        "eur": "eur euro euros €",
        "usd": "usd dollar dollars $",
        "gbp": "gbp £ quid pounds pound sterling",
        "%": "% percent pct",
        "s": "second seconds sec secs",
        "min": "minute minutes min mins",
        "h": "hour hours hr hrs",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "l": "litre litres liter liters",
        "gb": "gb gigabyte gigabytes",
        "mb": "mb megabyte megabytes",
    }.items()
    for word in words.split()
}
MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), start=1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS = {
    form: day for day in "monday tuesday wednesday thursday friday saturday sunday".split() for form in (day, day + "s")
}
NEGATIONS = word_set(
    """
    not no never none nobody nothing without hardly cannot neither nor unable lacks lack refuses refuse stopped
    quit cancelled canceled
    """
)
ENDINGS = (
    r"\b(?:no longer|any ?more|not any longer|stopped|quit|quitted|gave up|given up|left (?:the|her|his|their) (?:team|club|job|company|band)|cancelled|canceled|"
    r"ended|got rid of|dropped out|ceased|moved out of|broke up|retired from|resigned from)\b"
)
CHANGES = (
    r"\b(?:now|nowadays|these days|no longer|any ?more|moved|relocated|switched|switches|changed|changes|became|"
    r"becomes|become|turned|turns|started|starts|quit|stopped|gave up|given up|left|joined|took over|taken over|"
    r"passed to|handed|transferred|promoted|replaced|replaces|instead|went back|postponed|rescheduled|pushed|"
    r"brought forward|moved out|cancelled|canceled|graduated|divorced|engaged|new|is down to|is up to|went up|"
    r"went down|increased|decreased|reduced|raised|dropped|retired|resigned|upgraded|as of|from now on|has joined|"
    r"reassigned|swapped|settled)\b"
)
PAST = r"\b(?:used to|old \w+ (?:was|were)|formerly|previously|once was|back then|in the past|(?:until|till) (?:19|20)\d\d|ex-\w+|former)\b"
# What is only wanted, planned or possible is another fact than what is.
INTENT = (
    r"\b(?:plans?|planning|intends?|hopes?|hoping|wants? to|would like to|wishes to|wanted to|considers?|considered|considering|thought (?:of|about)|tried to|almost|nearly|might|may "
    r"(?!\d)|thinking of|thinking about|dreams? of|is going to|is about to|(?<!the )(?<!a )will|looking for|looking to|"
    r"applied for|offered|offer from|asked|interview(?:ed|s|ing)?)\b"
)
# Verbs and nouns that carry next to nothing: one more of them makes no other fact.
LIGHT_WORDS = "have follow diet number year person thing way time place hold keep be able around use own type plan schedule set due held".split()
# Verbs that say little by themselves, in the forms that have stems of their own.
LIGHT_VERBS = (
    "go went gone do did done make made get got take took taken give gave given find found start try tried".split()
)
# Idioms and the one word that they stand for here.
PHRASES = {
    r"\bgets? up\b": "wakes",
    r"\bgoes to (?:bed|sleep)\b": "sleeps",
    r"\btakes the (train|bus|tram|metro|subway|ferry) to work\b": r"commutes by \1",
    r"\b(?:is|are) (?:unable|not able) to\b": "cannot",
    r"\bwould like to\b": "wants to",
    r"\bfor an? (hour|day|week|month|year|minute)\b": r"for 1 \1",
    r"\bdoes not like\b": "dislikes",
    r"\bdoes not enjoy\b": "dislikes",
    r"\bgot (married|divorced|engaged)\b": r"is \1",
}
GENERIC_VERBS = word_set("like love enjoy prefer hate dislik ador eat drink allerg fear afraid interest")

# Words of one line mean the same here.
SYNONYMS = {
    word: line.split()[0]
    for line in """
    live lives living lived resides reside residing dwells dwell resident
    like likes enjoys enjoy loves love adores adore fond fan keen liked enjoyed loved prefer prefers preferred preference supports
    stop stops quit quits stopped
    dislike dislikes hates hate detests detest can't-stand
    favourite favorite favourites favorites
    colour color colours colors
    want wants wish wishes like-to
    have owns own possesses holds possess
    buy bought buys purchased purchase purchases
    car automobile
    afraid scared fear fears fearful frightened phobia
    mother mum mom mama
    father dad papa
    grandmother grandma granny
    grandfather grandpa
    child kid kids children
    film movie movies films
    author writer
    manage manages managed manager manager's leads lead led leader heads head boss
    work works working employed job
    run runs jogs jog running jogging
    bike bicycle cycles cycling bikes
    vegetarian veggie
    vegan vegans
    flat apartment
    doctor physician
    commute commutes commuting
    use uses used using
    phone telephone
    travel travels trip trips
    wake wakes gets-up
    study studies studied degree
    sofa couch
    begin begins starts start started began
    found founded
    make makes made
    write writes writing written
    volunteer volunteers
    collect collects collector
    raise raised grew
    need needs requires require
    married marriage wedding husband wife spouse married
    born birth birthday bday
    happen happens takes-place place take takes
    deploy deployments deployment deploys
    answer answers replies reply response responses
    short brief concise
    exhaust exhausting exhausts tiring tires
    diet diets
    go goes visits visit
    pay pays paid
    science-fiction sci-fi scifi
    learn learning learns
    alcohol booze
    maths math mathematics
    ski skiing skis
    allergic allergy allergies
    fly flight flights flying flew
    play plays player played playing
    teach teaches teacher
    paint paints painter
    tolerate tolerant intolerant intolerance tolerates
    """.strip().splitlines()
    for word in line.split()
}

# Two different words of one line name two different things.
KINDS = tuple(
    word_set(line)
    for line in """
    peanut walnut almond cashew hazelnut pistachio nut shellfish shrimp lobster crab fish egg milk gluten wheat soy
    tea coffee beer wine water juice milk whisky cola lemonade cocoa matcha
    red blue green yellow black white orange purple pink brown grey gray silver gold beige turquoise
    cat dog hamster rabbit parrot horse turtle snake goldfish kitten puppy bird bee spider pig cow
    mother father sister brother son daughter aunt uncle cousin grandmother grandfather niece nephew wife husband
    tennis chess football soccer basketball golf hockey badminton squash volleyball rugby cricket baseball bridge poker
    swim run cycl hik ski snowboard surf climb row danc jog sail yoga pilates box karate judo
    piano violin guitar drum flute cello trumpet saxophone clarinet harp bass ukulele trombone viola
    french german spanish italian english portuguese japanese chinese mandarin korean russian arabic dutch polish swedish turkish greek roman hindi czech danish norwegian
    python rust java javascript typescript go golang ruby kotlin scala swift php perl haskell elixir c++ c#
    ibuprofen aspirin paracetamol penicillin insulin metformin amoxicillin acetaminophen
    morning evening afternoon night noon midnight
    spring summer autumn winter fall
    breakfast lunch dinner supper brunch
    headache toothache fever cough cold flu migraine backache
    car bike bicycle motorcycle boat train bus plane scooter truck van tram
    apple banana strawberry blueberry raspberry cherry peach plum grape lemon mango pear orange pineapple
    lobster salad steak pizza pasta sushi burger soup curry taco sandwich
    jazz rock pop opera techno metal classical blues folk country reggae rap
    cook garden paint knit read sew fish hunt bak draw photograph
    doctor nurse teacher lawyer plumber carpenter pilot chef painter baker dentist engineer architect journalist waiter bartender electrician farmer accountant designer
    passport visa licence license ticket invoice
    north south east west
    left right
    sofa lamp table chair desk bed wardrobe mirror carpet shelf
    vegan vegetarian pescatarian keto paleo omnivore carnivore kosher halal
    stamp coin vinyl book comic card
    second minute hour day week month year
    parcel letter postcard email
    hotel flight train restaurant car
    kitchen bathroom bedroom garage basement attic garden office
    thriller comedy drama horror western documentary romance
    celsius fahrenheit kelvin
    beach forest mountain desert lake island city
    first second third fourth fifth last
    spicy sweet sour salty bitter
    church market gym school library park
    neighbour boss colleague friend landlord cousin uncle grandfather aunt roommate wife husband
    refund replacement discount voucher
    knee ankle shoulder elbow wrist hip
    basil cilantro parsley mint dill thyme
    monday tuesday wednesday thursday friday saturday sunday
    live work study stay
    """.strip().splitlines()
)
OPPOSITES = tuple(
    tuple(frozenset(side.split("/")) for side in pair.split("|"))
    for pair in """
    like|dislike love/like|hate/dislike buy|sell/sold before|after win/won|lose/lost/losed early|late old|new big/large|small good|bad
    lose/lost|find/found accept/approv/approve|reject/refus/deni open|close start/begin|stop/end/finish increase/increas|decrease/decreas hot|cold
    am|pm login|logout single|married/engag/divorc/divorced push|pull arrive/arriv|leave/leav/depart until|from/since
    cheap|expensive always|never in|out lend/lent|borrow import|export enable/enabl|disable/disabl upstairs|downstairs
    visit/go|move/live smoke|quit buy|rent cheap|dear full|empty male|female public|private window|aisle
    """.split()
)
RELATIONS = word_set(
    """
    mother father sister brother son daughter aunt uncle cousin grandmother grandfather niece nephew wife husband
    partner girlfriend boyfriend friend colleague boss manager neighbour neighbor roommate flatmate landlord child
    parent parents sibling siblings team dog cat grandson granddaughter stepmother stepfather fiance fiancee in-law
    mentor teacher coach assistant client customer ex
    """
)
# Other words for one relation.
SAME_RELATION = {
    "mum": "mother", "mom": "mother", "dad": "father", "grandma": "grandmother", "granny": "grandmother",
    "grandpa": "grandfather", "neighbor": "neighbour", "kid": "child", "kids": "child", "children": "child",
    "parents": "parent", "siblings": "sibling", "flatmate": "roommate",
}  # fmt: skip
# Relations of which a person may have several: "the cousin is a lawyer", "the cousin is a plumber".
SEVERAL = word_set("cousin brother sister friend neighbour colleague aunt uncle child son daughter cat dog niece nephew "
                   "grandson granddaughter client customer roommate sibling")  # fmt: skip
DIETS = word_set(
    """
    vegan vegetarian veggie pescatarian pescetarian keto ketogenic paleo omnivore omnivorous carnivore kosher halal
    flexitarian fruitarian mediterranean low-carb gluten-free raw whole30 plant-based dairy-free macrobiotic
    """
)
PROFESSIONS = word_set(
    """
    nurse doctor teacher lawyer pilot chef cook engineer developer programmer designer architect plumber carpenter
    electrician dentist journalist writer author editor waiter waitress bartender barista accountant analyst manager
    director consultant scientist researcher professor lecturer student intern librarian pharmacist therapist
    psychologist psychiatrist surgeon veterinarian vet paramedic firefighter policeman policewoman officer detective
    soldier sailor farmer gardener florist baker butcher tailor hairdresser barber stylist model actor actress
    singer musician composer dancer painter sculptor artist photographer filmmaker producer translator interpreter
    secretary receptionist assistant clerk cashier salesman saleswoman salesperson realtor broker banker economist
    statistician mathematician physicist chemist biologist geologist astronomer historian archaeologist philosopher
    priest pastor judge prosecutor paralegal politician diplomat ambassador mayor driver courier mechanic machinist
    welder mason builder roofer technician administrator sysadmin tester recruiter marketer strategist planner
    coordinator supervisor ceo cto cfo coo founder entrepreneur freelancer contractor auditor actuary trader
    investor coach trainer instructor tutor nanny caregiver midwife optician radiologist cardiologist neurologist
    guide lifeguard paediatrician pediatrician physiotherapist nutritionist dietitian beekeeper brewer winemaker sommelier
    """
)
PLACES_OF_PLACES = word_set(
    """
    germany france spain portugal italy austria switzerland england scotland wales ireland britain uk usa us america
    canada mexico brazil argentina chile peru colombia japan china korea india thailand vietnam indonesia malaysia
    singapore-state australia norway sweden finland denmark iceland poland czechia hungary romania bulgaria greece
    turkey russia ukraine egypt morocco kenya nigeria ghana ethiopia tanzania israel lebanon jordan iran iraq europe
    asia africa texas california florida ohio oregon bavaria tuscany catalonia scandinavia netherlands holland
    belgium croatia serbia slovenia estonia latvia lithuania philippines pakistan bangladesh taiwan california
    countryside suburbs
    """
)
# Attributes of which one holds at a time: "X's <noun> is Y".
SINGLE_VALUED = {
    word: line.split()[0]
    for line in """
    residence city home-city hometown home location
    employer company workplace
    title job profession occupation role position job-title
    diet
    owner maintainer
    manager boss supervisor line-manager
    ceo
    cto
    cfo
    president
    captain
    phone phone-number number mobile mobile-number telephone
    email email-address e-mail mail
    address home-address postal-address street-address
    deadline due-date
    age
    weight
    height
    salary pay
    rent
    budget
    timezone time-zone
    landlord landlady
    doctor gp
    dentist
    password
    username nickname name
    plan subscription tier
    status
    version
    price cost
    limit
    partner girlfriend boyfriend spouse husband wife
    car
    major
    priority
    goal
    currency
    locale
    language-of-choice
    """.strip().splitlines()
    for word in line.split()
}
# Attributes whose value is a person: "User's wife is pregnant" names nobody.
PERSONS = word_set("partner manager landlord doctor dentist owner ceo cto cfo president captain")
TECHNICAL = (
    r"(?:service|project|component|module|repo|repository|library|pipeline|api|system|team|product|database|cluster|"
    r"app|application|website|site|dashboard|platform|tool|package|job|queue|server|backend|frontend|gateway|feature|"
    r"integration|model|index|bot|store|shop|domain|account|squad|department|office|account)"
)
