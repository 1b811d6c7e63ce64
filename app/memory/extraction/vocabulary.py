"""Word lists behind the choice of what is worth remembering. Lemmas, lower case."""

from __future__ import annotations

from app.word_sets import word_set

# "I think ...": the speaker's footing in the conversation, not a fact about them.
TALKING = word_set(
    """
    think guess mean see understand agree wonder suppose hope wish apologize appreciate thank ask bet swear
    doubt assume promise figure imagine notice realize remember forget say mention suggest type paste copy click
    attach confirm reckon admit joke kid owe mind matter care wait believe feel expect clarify explain repeat
    summarize rephrase
    """
)
# With "will", "let me", "going to": what happens in the next minute, not a plan.
ERRANDS = word_set(
    """
    try check look think let see keep give tell say ask do get take go come read test use send share report
    update write ping call wait continue proceed follow have be need show text message email post paste copy
    open close run head leave stop start drop stick pass consider remember
    """
)
# "I can't ...": something is not working, as opposed to an ability or an aversion.
FAILING = word_set(
    """
    figure find see understand remember believe wait get open connect log tell help decide think say do make
    reproduce install access load reach promise imagine thank complain talk hear explain seem run
    """
)
# "I want to ...": about the conversation.
ASKING = word_set(
    """
    know understand ask check make see say discuss talk confirm clarify thank tell hear add try look think let
    show update copy paste continue proceed consider change fix test share figure sort debug solve convert
    rewrite explain
    """
)
# Parts of what the assistant has just produced.
DRAFT_PARTS = word_set(
    """
    verse line stanza part ending beginning version one tone style sound look wording intro layout
    """
)

# Things asked of an assistant.
ARTIFACTS = word_set(
    """
    function script code snippet summary email essay poem regex query example explanation help list way recipe
    idea advice suggestion recommendation tip answer solution information info story letter paragraph text table
    template method class program command sentence title translation outline version draft hint feedback opinion
    clarification reminder hand favor favour second minute moment inspiration option alternative step
    """
)
# Something is broken: of the hour, whatever its details.
TROUBLE = word_set(
    """
    question problem issue bug error exception warning traceback typo mistake crash failure trouble headache
    doubt difficulty clue idea
    """
)
# Objects that carry nothing: "I had a great day", "I have a question".
EMPTY_OBJECTS = word_set(
    """
    question problem idea issue doubt request headache feeling bug error exception warning message result output
    traceback day time morning afternoon evening night weekend week one fun blast look chat nap break lunch
    coffee moment sense thing stuff lot bit clue luck trouble point sec second minute something anything nothing
    everything bunch hour while difficulty concern choice hang fix answer much many more enough best challenge
    laugh
    """
)
# Subjects that carry nothing: "My day was great", "My guess is ...".
EMPTY_SUBJECTS = word_set(
    """
    day week weekend morning afternoon evening night question problem point guess mistake apology apologies
    fault understanding code internet wifi error message turn mind head goodness god bad thing query prompt
    request pleasure answer traffic weather code issue output
    """
)
# A mood or a compliment passes; "I'm afraid of heights" does not, so these count only without a complement.
PASSING = word_set(
    """
    tired hungry bored busy sleepy exhausted happy glad excited sad ready back here done fine ok okay good well
    great sorry sure confused stuck lost curious late early afraid thankful grateful impressed surprised unsure
    nervous stressed worried proud lucky right wrong serious aware able cold hot thirsty nice cool funny cute
    sweet amazing awesome wonderful beautiful lovely perfect bad terrible awful hilarious crazy weird
    interesting true false correct helpful kind new useful clear possible impossible important necessary easy
    hard difficult simple fun annoying frustrating slow fast long short big small strange tricky delicious tasty
    free available interested keen welcome broken down up off out over alright fantastic brilliant relieved
    thrilled delighted overwhelmed surrounded swamped buried covered snowed pumped stoked sick better worse best
    worst
    """
)
# Where one is for an hour.
PASSING_PLACES = word_set(
    """
    office meeting hurry rush bed train bus car way phone call room kitchen middle mood home trouble line
    traffic shower break cup coffee lunch queue loop charge luck bit lot fence kind top bottom end page
    """
)
# Nouns a project or a plan is made of: definite ones count as facts even without "my".
PROJECT_NOUNS = word_set(
    """
    backend frontend api app application service server database db pipeline repo repository codebase stack
    project product sprint standup stand-up release deployment production staging ci cluster microservice team
    company startup client platform infrastructure monolith library framework schema migration website dashboard
    endpoint feature model deadline launch budget contract plan roadmap kickoff kick-off workshop
    """
)
EVENT_NOUNS = word_set(
    """
    meeting appointment flight wedding party interview exam test deadline launch trip conference concert game
    match race marathon surgery operation check-up checkup dinner lunch breakfast brunch birthday anniversary
    graduation ceremony funeral course class lesson session workshop webinar presentation demo kickoff kick-off
    release review call date visit holiday vacation move opening festival show recital rehearsal tournament
    event reunion retreat summit hackathon hearing delivery inspection renovation migration cutover sprint
    standup stand-up retro freeze season camp cruise
    """
)
# Verbs that say enough by themselves: "I don't smoke".
HABITS = word_set(
    """
    cook swim run smoke drink commute paint sing hike ski surf cycle garden knit dance jog
    """
)
IMPERATIVE_STATIVES = word_set("love like hate prefer enjoy adore miss work live")
# "A bit tired" is as passing as "tired".
DEGREES = word_set("bit lot tad little kind sort")
