"""English slot values, composed from parts so that there are thousands of them."""

# A template or a rule reads best whole, however long its line.
# ruff: noqa: E501

from collections.abc import Iterable

_ONES_TEXT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS_TEXT = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_ONES, _TENS = _ONES_TEXT.split(), _TENS_TEXT.split()


def spelled(number: int) -> str:
    """A number below a hundred in words."""
    if number < len(_ONES):
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")


def _either(numbers: Iterable[int]) -> str:
    return "|".join(f"{number}|{spelled(number)}" for number in numbers)


def _frequencies() -> str:
    spoken = (f"{whole} point {_ONES[tenth]}" for whole in range(88, 108) for tenth in range(1, 10, 2))
    return "|".join([*(f"{tenths / 10:.1f}" for tenths in range(875, 1080, 3)), *spoken])


RULES: dict[str, str] = {
    # People
    "first": "Emma|Liam|Olivia|Noah|Grace|Jack|Lucy|Henry|Clara|Oscar|Ruby|Leo|Maya|Felix|Nina|Tom|Alice|Ben|Sophie|Max"
    "|Priya|Omar|Yuki|Diego|Ingrid|Austin|Paris|Georgia|Sydney|Brooklyn|Hazel|Jasper|Dean|Rose|April|Heath",
    "last": "Stone|Rivers|Hill|Park|Brooks|Carter|Bennett|Lane|Wells|Woods|Marsh|Field|Castle|Novak|Silva|Tanaka|Meyer|Khan"
    "|Okafor|Larsen|Rossi|Harper|Sutton|Ashford|Lincoln|Dallas|Chester|West|North|Winters|Young|Moon|Fox|Frost|Knight|King",
    "person": "<first> <last>",
    "contact": "4*<person>|2*<first>|(Doctor|Professor|Mr|Mrs|Miss|Coach) <last>|(Uncle|Aunt) <first>|<first> from (work|school|the gym)"
    "|the (plumber|landlord|dentist|babysitter|office|front desk)",
    "relation": "mom|dad|mum|wife|husband|brother|sister|son|daughter|grandma|grandpa|boss|uncle|aunt|cousin|roommate|mother|father",
    "band": "the (Velvet|Paper|Silver|Midnight|Electric|Lonely|Golden|Distant|Wild|Broken) (Rivers|Lanterns|Foxes|Kings|Trains|Gardens"
    "|Hearts|Tigers|Moons|Cities)|(Paper|Neon|Cold|Little|Northern) (Parade|Thunder|Collective|Orchestra|Trio|Brigade)|(London|Boston|Denver|Oslo)"
    " (Quartet|Calling|Boys|Sisters)",
    "singer": "4*<person>|2*<band>|DJ <last>|Adele|Coldplay|Queen|Prince|Sade|Bowie|Norah Jones|Nina Simone|Johnny Cash|Bruce Hornby",
    "digit": "0|1|2|3|4|5|6|7|8|9",
    "word_digit": "zero|oh|one|two|three|four|five|six|seven|eight|nine",
    "phone_number": "2*<digit><digit><digit> <digit><digit><digit> <digit><digit><digit><digit>|<digit><digit><digit>-<digit><digit><digit><digit>"
    "|<word_digit> <word_digit> <word_digit> <word_digit> <word_digit> <word_digit> <word_digit>|911|411",
    # Places
    "city": "London|Paris|Berlin|Boston|Austin|Denver|Chicago|Seattle|Oslo|Madrid|Rome|Dublin|Vienna|Lisbon|Toronto|Sydney|Phoenix"
    "|Portland|Dallas|Atlanta|Houston|Miami|Memphis|Nashville|Oakland|San Diego|San Jose|New York|New Orleans|Salt Lake City|Santa Fe"
    "|Kansas City|Georgetown|Springfield|Riverside|Lakewood|Manchester|Bristol|Brighton|Oxford|Cambridge|York|Hamburg|Munich|Milan",
    "area": "Oak|Maple|Cedar|Pine|Elm|Lincoln|Washington|Franklin|Harbor|River|Lake|Hill|Park|Sunset|Union|Liberty|Market|Mill|Church"
    "|King|Queen|Victoria|Chestnut|Willow|Spring|Stone|Bridge|Garden|Highland|Meadow|Valley|Forest|Castle|Station|Rose|Silver|Golden"
    "|North|South|West|East|Grand|Central",
    "spot": "Mall|Plaza|Park|Hospital|Library|Museum|Stadium|University|High School|Station|Theater|Hotel|Airport|Tower|Gardens|Zoo|Market"
    "|Clinic|Arena|Center|Harbor|Square|Cafe|Gallery|Gym|Church|Bakery|Diner",
    "poi": "4*(the |6*)<area> <spot>|<city> (Airport|Museum|Central Station|Zoo|University|Stadium)|<first>'s (Diner|Pizza|Bakery|Place|Cafe|Garage)"
    "|<last> (and Sons|Brothers|Coffee|Books|Dental|Hardware)|the (Opera House|City Hall|Old Town|Blue Lagoon)",
    "road": "4*<area> (Street|Road|Avenue|Lane|Drive|Boulevard|Bridge|Tunnel|Parkway)|(Interstate|Highway|Route) <digit><digit>|(I|A|M)<digit><digit>"
    "|the (ring road|turnpike|coastal highway|Lincoln Tunnel)|(First|Second|Third|Fifth|Ninth) (Street|Avenue)",
    "homeward": "home|back home",
    "to_home": "2*{destination=homeward}|to {destination=home}",
    "home": "work|the office|school|my place|my parents' house",
    "place": "5*<poi>|2*<road>|2*<city>|(1|2|4|7|8)<digit> <area> (Street|Road|Avenue|Lane)|<first>'s (house|place)|<area> and <area>",
    "stop": "5*<poi>|<road>|<city>|<first>'s (house|place)|the <area> Street exit",
    "poi_type": "gas station|petrol station|charging station|fast charger|parking garage|parking lot|supermarket|grocery store|pharmacy|hospital"
    "|rest stop|restroom|car wash|coffee shop|burger place|pizza place|restaurant|sushi bar|hotel|motel|bank|ATM|mechanic|bookstore|bakery|bus stop"
    "|movie theater|park|police station|(cheap|good|quiet) (restaurant|hotel|cafe)|drive-through|tire shop",
    "route_preference": "avoiding highways|without tolls|avoiding tolls|the fastest way|the shortest way|the scenic route|avoiding traffic|without highways"
    "|the cheapest way|fewest traffic lights|using the highway|avoiding ferries|the quickest route|the fastest route|on back roads|avoiding dirt roads",
    # Music
    "colour": "Blue|Golden|Silver|Lonely|Midnight|Broken|Distant|Paper|Quiet|Burning|Electric|Hollow|Last|Slow|Wild|Northern|Summer|Winter|Empty"
    "|Secret|Crooked|Velvet|Sleeping|Second|Old|Faded|Open",
    "thing": "River|Street|Heart|Moon|Rain|Train|Road|Window|Letter|Garden|City|Ocean|Fire|Dream|Shadow|Bridge|Stranger|Night|Morning|Mirror|Avenue"
    "|Station|Highway|Sky|Star|Echo|Phone Call|Angel",
    "things": "Rivers|Streets|Hearts|Trains|Roads|Windows|Letters|Gardens|Cities|Fires|Dreams|Shadows|Bridges|Strangers|Nights|Mornings"
    "|Mirrors|Avenues|Stations|Highways|Stars|Echoes|Angels",
    "song": "4*<colour> <thing>|<thing> (of|in|and|on) (the |)<thing>|(Call|Take|Drive|Bring|Carry|Leave) (Me|You|Her) (Home|Back|Tonight|to <city>|Away)"
    "|<city> (Nights|Rain|Skyline|Girl|in the Rain|Blues)|<area> (Street|Avenue|Road)|(Under|Behind|Across|Beyond) the <thing>|<things>"
    "|(No|Every|Another|One More) <thing>|(Waiting|Running|Looking) for (You|<first>|the <thing>|Summer)|<city>|Dear <first>|Turn It Up|Stop the Car"
    "|(I|We) (Miss|Need|Never Loved|Remember) (You|the <thing>)|Message to <first>|Hotel <city>|Seventy Degrees|Open Window|Thursday at <digit>",
    "album": "2*<colour> <things>|Songs (from|of|for) (the |)<thing>|(Live (at|from)|Back to|Letters from) (the <thing>|<city>)|<thing> and <thing>"
    "|(Volume|Chapter) (One|Two|Three)|The <thing> (Sessions|Tapes|Years)|<area> Park|Postcards|<colour> on <colour>",
    "genre": "rock|folk|jazz|classical|pop|techno|hip hop|blues|country|soul|reggae|metal|lo-fi|disco|indie rock|ambient|opera|gospel|swing|bluegrass"
    "|salsa|smooth jazz|piano music|eighties pop|nineties rock|white noise|punk|latin jazz|movie soundtracks|bossa nova",
    "mood": "relaxing|calm|upbeat|sad|happy|romantic|chill|energetic|mellow|dreamy|cheerful|dark|soothing|gentle|angry|nostalgic|moody|peaceful",
    "scene": "driving|sleeping|running|a rainy day|the road|a road trip|studying|cooking|a party|the kids|a long drive|working out|a date|rush hour",
    "playlist": "(Morning|Evening|Sunday|Friday|Late Night|Highway|Rainy Day|Gym|Summer|Winter|Kids|Office) (Mix|Drive|Vibes|Favorites|Classics|Commute|Jams)"
    "|<city> (Nights|Trip|Mix|Drive)|<first>'s (Mix|Favorites|Party)|<colour> <thing> Mix|Road Trip <digit>|(Best of|This is) (<person>|<band>)|My Favorites"
    "|Songs for (<city>|Mom|Grandpa|the Road)|Top (Fifty|Forty|Hits)|Driving Home|Chill Out",
    "app": "Tunely|Wavebox|Songbird|Loopcast|Radiant|Melodix|Podhouse|Soundlake|Blue Note Player|Jukebox|Chatter|Quickchat",
    "device": "the rear speakers|the back speakers|the rear screen|the passenger screen|the bluetooth speaker|my phone|my tablet|the headrest speakers"
    "|the main display|all speakers|the left speaker|the subwoofer",
    "station": "(K|W)(R|B|N|Q|X|L)(O|E|U|A|P)(C|K|S|T)|<city> (Public Radio|Jazz Radio|News Radio|Sports Talk|Talk Radio)|Radio (<city>|<thing>|One|Two|Four)"
    "|(Kiss|Magic|Classic|Capital|Heart|Gold|Smooth|River|Ocean) (FM|Radio)|the (news|sports|jazz|country|traffic) station|<area> (FM|Radio)",
    "frequency": "(" + _frequencies() + ")(2*| FM| fm)|(5|6|7|8|9|10|12)(1|2|4|5|7|8)0 AM",
    # Numbers
    "temperature": "3*<degree>( degrees|)|<degree>|<half_degree>|<degree> and a half degrees|the (minimum|maximum)|<fahrenheit> degrees( Fahrenheit|)",
    "degree": _either(range(16, 30)),
    "half_degree": "|".join(f"{number}.5 degrees|{spelled(number)} point five" for number in range(17, 29)),
    "fahrenheit": _either(range(60, 84)),
    "fan_level": "(level |2*)<level>|(max|maximum|minimum|medium|full blast|the lowest setting|the highest setting)|low|high",
    "level": _either(range(1, 8)),
    "percent": "<part_of_hundred>( percent|%)|<part_of_hundred_spelled> percent|halfway|half|a quarter|a third|three quarters",
    "part_of_hundred": "|".join(map(str, range(5, 100, 5))),
    "part_of_hundred_spelled": "|".join(map(spelled, range(5, 100, 5))),
    "duration": "3*<minutes> minutes|<minutes> seconds|half an hour|an hour|an hour and a half|(two|three|four|2|3) hours|a minute|a quarter of an hour",
    "minutes": _either((2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 45, 50)),
    "hour": _either(range(1, 13)),
    "digit_hour": "|".join(map(str, range(1, 13))),
    "time": "3*<hour> (am|pm)|<digit_hour>:(15|30|45|20|05)(| am| pm)|(half past|quarter past|quarter to|ten to|twenty past) <hour>|noon|midnight|<hour> o'clock"
    "|<hour> thirty|<hour> forty five",
    "part_of_day": "in the (morning|afternoon|evening)|after lunch|before lunch",
    "weekday": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday",
    "month": "January|February|March|April|May|June|July|August|September|October|November|December",
    "ordinal": "first|second|third|fifth|ninth|tenth|twelfth|fifteenth|eighteenth|twentieth|twenty first|thirtieth|3rd|7th|14th|22nd|31st",
    "date": "3*(today|tomorrow)|(this |next |)<weekday>|<weekday>|(this|next) weekend|tomorrow (morning|night|evening)|tonight"
    "|<month> <ordinal>|the <ordinal>( of <month>|)|Christmas|New Year's Eve|the day after tomorrow|next week|<weekday> (morning|evening)",
    # Car
    "seat_position": "driver|passenger|front passenger|rear left|rear right|back left|rear|back|front|left|right|second row|third row",
    "window_part": "the sunroof|the windows|all windows|the (<seat_position>|<seat_position> side) window|the trunk|the tailgate|the sunshade|my window|the roof",
    "climate_mode": "cooling|heating|defrost|recirculation|auto mode|the seat heater|the seat heating|seat ventilation|the defroster|the rear defroster"
    "|the heated steering wheel|fresh air mode|eco mode|the air purifier|floor vents|the seat warmer",
    "gauge": "fuel level|battery level|range|oil level|(front left |rear right |)tire pressure|coolant|washer fluid|gas|fuel|mileage|engine temperature|oil",
    "vehicle_part": "(front left|front right|rear left|rear right|) tire pressure|fuel level|battery|oil|coolant|washer fluid"
    "|brake pads|brake fluid|engine|engine temperature|headlights|wipers|air filter|transmission|tires|spare tire",
    "weather_condition": "rain|snow|hail|get windy|get foggy|thunder|freeze|drizzle|get icy|get cold|storm|get humid|get hot|clear up|pour",
    # Free text
    "errand": "pick up (<relation>|<first>|the kids|the cake|a package|groceries)|call (<contact>|my <relation>|the bank)|buy (milk|flowers|a ticket|bread|a gift for my <relation>)"
    "|pay the (rent|electricity bill|parking ticket)|take my (pills|medicine)|(charge|wash|refuel) the car|go to <poi>|book a (hotel|table) in <city>"
    "|return the library books|renew the insurance|meet <contact> at <poi>|water the plants|send the report to <contact>|get tickets for <singer>|turn off the oven"
    "|feed the dog|bring (an umbrella|the passports)|drop off <first> at <poi>",
    "reminder_text": "<errand>|<errand>|<errand> and <errand>",
    "sentence": "I'm (almost|nearly|already) (there|at <poi>|on <road>|home)|I'm (stuck|in traffic) on <road>|I'll be <duration> late|I'm running late"
    "|see you (at <poi>|at <time>|<date>|<date> at <time>)|(can|could) you <errand>|don't forget to <errand>|please <errand>|happy birthday|I love you|where are you"
    "|let's meet at <poi>( at <time>|)|I can't make it <date>|the song <song> is (great|so good)|I'm listening to <singer>|play <song> at the party"
    "|it's (raining|snowing) in <city>|the traffic on <road> is terrible|call me (back|later|at <time>)|dinner is at <time>|navigation says <duration>"
    "|I left my (keys|phone|jacket) at <poi>|drive safely|on my way( home| to <poi>|)|I'll (call|text) you from <city>|start without me|it's too hot in here",
    "message_text": "4*<sentence>|<sentence> and <sentence>|<sentence>, <sentence>",
}

OPEN_RULES = frozenset(
    {
        "person",
        "band",
        "poi",
        "contact",
        "singer",
        "song",
        "album",
        "playlist",
        "place",
        "stop",
        "road",
        "city",
    }
    | {"station", "message_text", "reminder_text", "genre", "poi_type", "route_preference"}
)
