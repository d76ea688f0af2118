"""The labels of a till in readable words: what Complete Journey calls its products."""

from __future__ import annotations

import re

# The commonest of the till's abbreviations; a word that is not here is left as it is.
_WORDS = dict(
    re.findall(
        r"(\w+)=(\S+)",
        """
    beeralemalt=beer/ale/malt bev=beverage bg=bags bkd=baked bn=beans br=bread brd=bread
    brkfst=breakfast btl=bottle btr=butter carb=carbonated catfd=cat_food chix=chicken
    choc=chocolate ckys=cookies cnd=canned cndy=candy conc=concentrate cont=contributions
    crbntd=carbonated crkr=crackers crmd=creamed crystl=crystal
    ctlrytblclthstthpksst=cutlery/tablecloths/toothpicks dnr=dinner dnrs=dinners dogfd=dog_food
    drnk=drink drnking=drinking drnkng=drinking drnks=drinks drsng=dressing dsh=dishes fd=food
    fem=feminine flv=flavored flvr=flavor flvrd=flavored frz=frozen frzn=frozen gds=goods
    gm=general_merchandise grnd=ground hbc=health_beauty_care hygn=hygiene jce=juice
    mach=machine misc=miscellaneous mixs=mixes mlk=milk mlt=multi mneral=mineral mnral=mineral
    mnrl=mineral mw=microwave mx=mix mxs=mixes pckgd=packaged pk=pack pkg=packaged pkgd=packaged
    pkld=pickled pnt=peanut prem=premium prep=prepared prepack=prepacked prod=produce
    protien=protein pwdr=powder pwdrs=powders refrgratd=refrigerated refrig=refrigerated
    reg=regular rts=ready_to_serve sald=salad saucessalsapicantee=sauces/salsa/picante
    saus=sausage sft=soft sgl=single sherbts=sherbets sndwch=sandwich sngl=single snks=snacks
    sply=supplies sprd=spread srv=serve ss=single_serve sv=serve sw=sweet syrp=syrup tiss=tissue
    tort=tortilla trsh=trash veg=vegetable wate=water whl=whole whlsm=wholesome wt=weight
    wtr=water xpctrnt=expectorant
    """,
    )
)


def phrase(*parts: str | None) -> str:
    """The parts in words, joined by commas, less those that only repeat an earlier one."""
    said: set[str] = set()
    kept = []
    for part in map(readable, filter(None, parts)):
        words = {word.rstrip("s") for word in re.findall(r"\w+", part)}
        if not words <= said:
            kept.append(part)
        said |= words
    return ", ".join(kept)[:1].upper() + ", ".join(kept)[1:]


def readable(label: str) -> str:
    """A till's label in readable words: "PNT BTR/JELLY/JAMS" -> "peanut butter/jelly/jams"."""
    if len(label) >= 30:  # the till's labels end there, often within a word
        label = re.sub(r"\W+\w{1,2}$", "", label)
    label = re.sub(
        r"\([^)]*(\)|$)", " ", label.lower()
    )  # asides in brackets, most of them cut off half way
    label = re.sub(r"[*.](?!\d)|^[^\w]+", " ", label).replace("&", " & ")
    label = re.sub(
        r"(?<=\w)[:/](?=\w)|:", lambda sign: "/" if sign[0] == "/" else ": ", label
    )
    label = re.sub(
        r"[a-z]+", lambda word: _WORDS.get(word[0], word[0]).replace("_", " "), label
    )
    return re.sub(r"\s+", " ", label).strip(" -:/&,")
