"""What kinds of things nouns stand for, as far as pronouns care."""

from __future__ import annotations

from app.word_sets import word_set

FEMALE = word_set(
    """
    sister mother mom mum mama grandmother grandma granny aunt auntie niece daughter wife girlfriend woman girl
    lady bride fiancée stepmother stepsister stepdaughter goddaughter queen actress waitress landlady mrs ms
    miss sister-in-law mother-in-law daughter-in-law
    """
)
MALE = word_set(
    """
    brother father dad daddy papa grandfather grandpa uncle nephew son husband boyfriend man boy guy gentleman
    groom fiancé stepfather stepbrother stepson godson king actor waiter landlord mr sir brother-in-law
    father-in-law son-in-law dude bloke
    """
)
RELATIVES = (FEMALE | MALE) - word_set("woman girl lady man boy guy gentleman dude bloke")
PERSONS = (
    FEMALE
    | MALE
    | word_set(
        """
    partner spouse fiance fiancee parent child kid baby toddler teenager twin sibling cousin grandchild
    grandparent friend buddy pal mate bestie roommate flatmate housemate neighbor neighbour colleague coworker
    co-worker boss manager supervisor lead director ceo cto cfo founder cofounder co-founder employee intern
    mentor mentee coach trainer teacher tutor professor student pupil classmate teammate doctor gp dentist
    therapist psychologist psychiatrist nurse surgeon physiotherapist physio vet veterinarian lawyer attorney
    accountant advisor adviser client customer patient tenant assistant secretary engineer developer designer
    programmer architect analyst consultant contractor plumber electrician mechanic gardener nanny babysitter
    cleaner driver pilot officer agent broker realtor editor author writer artist musician singer guitarist
    drummer bandmate chef baker barber hairdresser photographer recruiter interviewer host guest colleague's
    person ex crush date cto counselor counsellor pastor priest imam rabbi godfather godmother guardian relative
    toddler stylist
    """
    )
)
ANIMALS = word_set(
    """
    dog puppy cat kitten rabbit bunny hamster parrot bird horse pony turtle tortoise lizard gecko snake fish
    goldfish guinea ferret chicken hen goat cow pig pet beagle labrador retriever poodle terrier corgi dachshund
    husky collie spaniel bulldog pug shepherd budgie canary mouse rat
    """
)
PLURAL_PEOPLE = word_set(
    """
    parents kids children people folks family grandparents twins in-laws team police couple
    """
)

# "We're a family of four" is said of the family.
COLLECTIVES = word_set("family team couple company startup group band household band crew club")
# Verbs whose object afterwards belongs to the subject: "I bought a car" makes it "User's car".
ACQUIRING = word_set(
    """
    have own get buy adopt build write develop make create start rent lease found launch design run inherit
    receive purchase order book plan organize organise schedule keep raise drive breed train open maintain
    restore renovate plant prepare host join
    """
)
MOTION = word_set(
    """
    move go fly travel drive relocate return come get head walk ride run cycle commute migrate emigrate bring
    take send transfer ship drag hike sail invite
    """
)
# Whose project "we" and "the backend" are about.
WORKPLACE = word_set(
    """
    backend frontend api app application service server database db pipeline repo repository codebase stack
    project product sprint standup stand-up release deployment production staging ci cluster microservice
    microservices team company startup client clients customer customers office platform infrastructure monolith
    library framework schema migration website dashboard endpoint endpoints monorepo feature deploy
    retrospective roadmap
    """
)

# Nouns that "it" seldom means: they are what one talks with, not what one talks about.
ABSTRACT = word_set(
    """
    chance beauty strength passion dream journey life love support help courage mind heart time way goal idea
    fact feeling choice kind sort lot bit sense luck fun world nature question answer experience day moment
    memory step change process progress effort attention advice care future past hope fear joy power side end
    start rest budget age name turn
    """
)
# Where "there" can be, when they are somebody's.
PLACES = word_set(
    """
    gym office school hospital restaurant bakery church library university college beach farm shop store cafe
    café clinic studio club park garden house apartment flat village town city company bookshop museum theater
    theatre garage cabin
    """
)
# "make it", "take it easy", "get it": the "it" stands for nothing.
IDIOMS_WITH_IT = word_set("make take get do lose call say hit mean believe keep wing nail rock leave blow rough")


def gender_of_noun(lemma: str) -> str:
    """Such as "f", "m" or "" (unknown) for a noun."""
    return "f" if lemma in FEMALE else "m" if lemma in MALE else ""
