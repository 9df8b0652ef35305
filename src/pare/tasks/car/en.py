"""English commands: how each thing is asked for, and how people stumble when they ask."""

# A template or a rule reads best whole, however long its line.
# ruff: noqa: E501

from pare.tasks.car.en_values import OPEN_RULES, RULES
from pare.tasks.car.language import Intent, Language, Speech

_PHRASES = {
    "pls": "8*|2*please |2*can you |could you |would you |I want you to |go ahead and |just |can you please |quickly ",
    "play": "5*play|put on|start|start playing|let me hear",
    "want": "I want to (listen to|hear)|I'd like to hear|I feel like|I'm in the mood for|let's hear",
    "goto": "3*navigate to|2*take me to|2*drive to|go to|get me to|set a course for|guide me to",
    "heading": "5*<pls><goto>|directions to|let's go to|I need to get to|I'd like to go to|we are going to",
    "whom": "3*{contact}|my {relation}|{relation}",
    "text": "2*text|message|send a text to|send a message to|write to|drop a line to",
    "when": "2*{date} at {time}|at {time} {date}|{date}|at {time}|{date} {time=part_of_day}",
    "open": "open|open up|crack open|roll down|lower",
    "shut": "close|shut|roll up|close up",
    "turn_on": "turn on|switch on|enable|activate|start",
    "turn_off": "turn off|switch off|disable|stop",
}

_INTENTS = (
    Intent(
        "music.play",
        18,
        """
        <pls><play> {song} by {singer}; <pls><play> {singer}'s {song}; <pls><play> {song}; <pls><play> the song {song}( by {singer}|)
        <want> {song}( by {singer}|); <want> (something by |){singer}; <pls><play> (something|anything|a song|some songs) by {singer}
        <pls><play> (some |a bit of |){mood} (music|songs|{genre}); <want> (some |){genre}; <pls><play> (some |){genre}; <pls><play> (music|songs|something) for {mood=scene}
        <pls><play> (the |)album {album}( by {singer}|); <pls><play> {album} by {singer}, the (whole |)album; <pls><play> {song} from (the album |){album}
        <pls><play> (my |the |)playlist {playlist}; <pls><play> (my |the |){playlist} playlist; <pls>shuffle (my |the ){playlist} playlist
        <pls><play> {song}( by {singer}|) on {app}; (open|use) {app} and <play> {song}; <pls><play> {singer} on {device}; <pls><play> {song} (on|through|over) {device}
        no, the one by {singer}; I meant the (version|one) by {singer}; not this (one|song), <play> {song}; the {singer} version; something by {singer} instead; how about (some |){genre} instead
        make it {mood}; something more {mood}; (it's too quiet|it's boring) in here, <play> some {genre}; <play> {song} on the way to {destination=place}
        <pls><play> {singer} and {singer} singing {song}; that song {song} by {singer}, <play> it( again|); <pls><play> the new (song|album|single) by {singer}
        {song} by {singer}; I want {singer}, not <singer>""",
        """<pls>find me a song called {song} and play it; got any {genre}, put it on; <pls>queue up {song} by {singer}
        what about playing {singer} for a change""",
        """there's a song named {song} by {singer}, play that; I could use some {mood} {genre} right now; <pls>pick a song from {album} and play it
        let's have {singer} do {song}; {device} should play {song}; tired of this, give me {singer}; <pls>search {app} for {song} and start it""",
    ),
    Intent(
        "music.control",
        6,
        """
        <pls>(pause|resume|stop|continue)( the music| playback| the song| it| this|); <pls>(skip|next song|next track|previous song|go back a song|skip this one|skip this song|play that again)
        <pls>(set|turn|change|put) the (volume|sound) (to|at) {percent}; <pls>turn (the music|{device}|the sound|the song) (up|down)( a bit| a little| to {percent}|)
        (louder|quieter|a bit louder|a little quieter|much louder); (volume|sound) (up|down)( a bit| a notch| please|); <pls>(fast forward|rewind|skip ahead|go back) {duration}
        <pls>(repeat|loop|restart) (this song|this|the song|{song}|the album); <pls>(mute|unmute)( {device}| the music| everything|); <pls>(shuffle|turn shuffle (on|off)|turn repeat (on|off))
        stop (the music|playing|playback) (in|after) {duration}; <pls>stop after {song}; (it's|that's) too (loud|quiet), turn it (up|down)( a bit| to {percent}|); <pls>skip {song}; volume {percent}
        when {song} ends (stop|pause)( the music|); <pls>play {song} again from the (start|beginning); stop playing on {device}""",
        """I can't hear it, raise the volume( to {percent}|); enough music for now; keep the sound below {percent}; get past {song}, next one""",
        """bring the volume (up|down) to {percent}; <pls>hold the music, (I need to make a call|someone is calling|we have arrived); jump {duration} (ahead|back)
        not {song} again, skip it; <pls>keep playing {song} over and over""",
    ),
    Intent(
        "music.favourite",
        5,
        """
        (I like|like|<pls>save|<pls>favorite) (this song|this track|{song}|{song} by {singer}|this); <pls>add (this song|this|{song}|{song} by {singer}) to (my |the |){playlist}( playlist|)
        <pls>put (this|that song|{song}) (in|on) (my |the |){playlist} playlist; <pls>remove (this|{song}|{song} by {singer}) from (my |the |){playlist}( playlist|); <pls>save the album {album}( by {singer}|)
        <pls>(unlike|unfavorite) (this song|{song}|{song} by {singer}); <pls>create a (new |)playlist (called|named) {playlist}; I (love|like) this song, (save it|add it to {playlist}|put it on {playlist})
        <pls>follow (the artist |){singer}; <pls>add {album} to my (library|favorites|collection); {song} is great, (save it|add it to {playlist}|like it); add it to (my |){playlist}
        <pls>save {song} (on|in) {app}; that last song, {song}, add it to {playlist}; <pls>add (all songs|everything) by {singer} to {playlist}""",
        """this {song} tune belongs in {playlist}; <pls>mark {song} by {singer} as a favorite; give {song} a like""",
        """<pls>store what's playing in {playlist}; I love {song} by {singer}, keep it; <pls>take {song} off (my |the |){playlist} playlist; {singer} is great, follow them""",
    ),
    Intent(
        "navigation.start",
        14,
        """
        <heading> {destination=place}; <heading> {destination=place}( in {city}|); <heading> {destination=place} {route_preference}; how do I get to {destination=place}( from {departure=place}|)
        <pls>navigate from {departure=place} to {destination=place}( {route_preference}|); (directions|route|the way) from {departure=place} to {destination=place}( via {via=stop}|)
        <heading> {destination=place} (via|through|by way of) {via=stop}( {route_preference}|); <goto> {destination=place} with a stop at {via=stop}; first {via=stop}, then {destination=place}
        <heading> {destination=place} and stop at {via=stop} on the way; <heading> {destination=place} (on|using|taking) {road}; <pls>(find|look for|show me) (the nearest|the closest|a nearby) {poi_type}
        (where is|is there|where's) (the nearest|a|a nearby|the closest) {poi_type}( near {destination=place}|); <pls>find a {poi_type} (near|close to|by) {destination=place}; <pls>find a {poi_type} on {road}; take me to (the nearest|a) {poi_type}
        (take me|drive|let's go) <to_home>( {route_preference}|); actually, make it {destination=place}; change (the |my |)destination to {destination=place}; not <place>, {destination=place}
        I have to be at {destination=place} (by|at) {time}( {date}|), how do I get there; I'm hungry, find a {poi_type}; start (navigation|a route) to {destination=place}, {route_preference}
        leaving from {departure=place}, <goto> {destination=place}; pick up {contact} at {via=stop} and then drive to {destination=place}; from {departure=home} to {destination=place}( {route_preference}|)
        let's go to {destination=place} instead; {destination=place}, {route_preference}; {destination=place} in {city}""",
        """I'm at {departure=place} and want to reach {destination=place}; which way is {destination=place}, guide me; head to {destination=place}, passing {via=stop}; set {destination=place} as destination""",
        """plan a route to {destination=place} {route_preference}; {contact} is waiting at {destination=place}, take me there; bring me to {destination=place} but go through {via=stop}
        we start at {departure=place} and end at {destination=place}, {route_preference}; I could eat, any {poi_type} around here; what's the way to {destination=place} via {via=stop}""",
    ),
    Intent(
        "navigation.reroute",
        5,
        """
        <pls>add (a stop at |){via=stop} (to the route|to my route|on the way|as a stop|as a waypoint); <pls>(stop|make a stop) at {via=stop} (on the way|first|before we arrive); <pls>(avoid|stay off|skip|bypass) {road}
        <pls>(find|add) a {poi_type} (on the way|along the route|on my route); (switch to|change to) (a route |){route_preference}( instead|); reroute( me|) {route_preference}; (reroute|get me) around {road}
        <pls>remove (the stop at |){via=stop} from the route; we don't need to stop at {via=stop}( anymore|); change the route to {destination=place} to {route_preference}; go (through|via) {via=stop} instead
        on the way to {destination=place}, (add|stop at) {via=stop}; I don't want to take {road}( to {destination=place}|); take {road} instead of {road}; is there (a route|another way|a way) {route_preference}
        before {destination=place} (swing by|go past) {via=stop}; (I'd prefer|let's take) {route_preference}; <pls>drop {via=stop} as a waypoint; find another (route|way), {road} is (closed|blocked)""",
        """we need to swing by {via=stop} along the way; keep me away from {road}; can we do this {route_preference}""",
        """squeeze in a stop at {via=stop}; <pls>don't go down {road}; the stop at {via=stop} can go; I'd rather go {route_preference}; (halfway|midway) I want a {poi_type}""",
    ),
    Intent(
        "navigation.cancel",
        4,
        """
        <pls>(cancel|stop|end|quit|exit) (navigation|the navigation|the route|guidance|route guidance|directions)( please| now|); <pls>(cancel|stop|end) (the route|navigation|directions|navigating|the trip) to {destination=place}
        I don't (want|need) to go to {destination=place} (anymore|after all|now); (we're|I'm) not going to {destination=place}( anymore| after all|); never mind {destination=place}, (cancel|stop navigating|end the route)
        I know the way( to {destination=place}| from here|)(, stop navigating|, no more directions|, turn off guidance|); forget (about |){destination=place}( for today|); (we've|I've) arrived( at {destination=place}|), (stop|end) (navigation|guidance)
        cancel the (trip|route|drive) from {departure=place} to {destination=place}; <pls>delete the route to {destination=place}; I'll go to {destination=place} {date}, cancel (it|the route) for now; no more directions( to {destination=place}|)""",
        """let's not go to {destination=place}; the directions to {destination=place} can stop; we can find {destination=place} on our own""",
        """<pls>clear the route( to {destination=place}|); something came up, no {destination=place} today; {contact} says don't come to {destination=place}, end guidance; <pls>shut off the navigation to {destination=place}""",
    ),
    Intent(
        "navigation.traffic",
        4,
        """
        how's (the |)traffic (on|along) {road}( now| {date}| right now|); how's (the |)traffic (to|on the way to) {destination=place}( {date}|); is there (any |much |a lot of |)traffic on {road}; is {road} (blocked|busy|jammed|closed|clear)( today| now|)
        how (long|far) (is it |)(to|until) {destination=place}( from here|); how long (does it take|will it take) (to get |)to {destination=place}( from {departure=place}|)( via {via=stop}|); what's (the|my) ETA (to|for) {destination=place}
        when (will|do) (we|I) (arrive at|get to|reach) {destination=place}; how (long|far) is it from {departure=place} to {destination=place}; <pls>(check|show) the traffic (on {road}|to {destination=place}|ahead|in {city})
        (any|are there any) (accidents|jams|road works|delays) (on {road}|ahead|on the way to {destination=place}|in {city}); will there be traffic to {destination=place} {date} at {time}; why is it so slow (here|on {road})
        can (we|I) make it to {destination=place} by {time}; is it faster to {destination=place} on {road}""",
        """what does {road} look like right now; how many miles until {destination=place}; is the way to {destination=place} clear""",
        """are we going to be late for {destination=place}; how bad is {road} {date}; what's the holdup on {road}; how much time to {destination=place} if I take {road}""",
    ),
    Intent(
        "phone.call",
        9,
        """
        <pls>(call|phone|ring|dial) <whom>; <pls>(call|phone|ring) <whom>( on (the |their |)(mobile|cell|cell phone)| at (work|home)|); <pls>(call|dial) {phone_number}; <pls>make a (phone |video |)call to <whom>
        <pls>give <whom> a (call|ring); <pls>(call|phone) <whom> (on|with|using|over) {device}; I (need|want|have) to (talk to|speak to|call) <whom>; <pls>(redial|call back)( the last number| {contact}| {phone_number}|)
        <pls>(dial|ring) the number {phone_number}; no, (call|I meant) {contact}( instead|); not <contact>, (call |){contact}; call {contact}, not <contact>; get <whom> on the (phone|line); {contact} just called, (call|ring) (him|her|them) back
        <pls>call the {poi_type}( near {destination=place}|); <pls>phone {destination=poi}; <pls>video call <whom>; call <whom> when we (get|arrive) (to|at) {destination=place}; <pls>call <whom> and ask (about dinner|where they are|for the address)
        I missed a call from {contact}, (call back|ring them); start a call with <whom>; is {contact} free, (call|ring) (him|her|them); use {app} to call <whom>""",
        """<pls>connect me (to|with) <whom>; put a call through to <whom>; the number is {phone_number}, call it""",
        """<pls>reach <whom> by phone; <pls>look up {contact} and dial (his|her|their) number; let me speak with <whom>( on the phone|); place a call to {phone_number}; I'd like a word with {contact}, ring them""",
    ),
    Intent(
        "message.send",
        7,
        """
        <pls><text> <whom>( saying | that |, |: ){message_text}; <pls>tell <whom>( that | ){message_text}; <pls>text <whom> {message_text}; <pls>send <whom> a (text|message)( saying | that |: |, ){message_text}
        <pls>(send a message|send a text|message|text)( to|) <whom>; <pls>reply to <whom>( with | saying |: ){message_text}; <pls>let <whom> know( that | ){message_text}; <pls>use {app} to (tell|message|text) <whom> {message_text}
        <pls>text {phone_number}( saying |: | ){message_text}; (don't call|instead of calling) <whom>, (text|message) (them |)(saying |that |){message_text}; <pls>send (my location|my ETA|this address) to <whom>
        <pls>answer <whom>( with | saying ){message_text}; change the message to {message_text}; make it say {message_text}; when we reach {destination=place} (text|message|tell) <whom>( that | ){message_text}
        <pls>send a {app} message to <whom>( saying |: ){message_text}; <pls>leave <whom> a message saying {message_text}""",
        """<pls>shoot <whom> a text( saying |, ){message_text}; new message for <whom>: {message_text}; <whom> should know that {message_text}""",
        """<pls>inform <whom> that {message_text}; <pls>write <whom> a message: {message_text}; message for {contact}, it reads {message_text}; <pls>pass on to <whom> that {message_text}""",
    ),
    Intent(
        "climate.set",
        9,
        """
        <pls>set the (temperature|heat|AC|air conditioning|climate) to {temperature}; <pls>(set|turn|change) the {seat_position}( side| seat|) temperature to {temperature}; <pls>(make it|set it to|turn it to) {temperature}( on the {seat_position} side| in the {seat_position}|)
        <pls>(<turn_on>|<turn_off>) the (AC|air conditioning|heater|fan|climate control); <pls>(<turn_on>|<turn_off>) {climate_mode}( for the {seat_position}( seat| side|)|); <pls>(set|turn|put) the (fan|fan speed|blower) (to|on) {fan_level}
        (warmer|cooler|colder|hotter|a bit warmer|a little cooler|slightly warmer|much colder)( please| in the {seat_position}|); <pls>turn the (heat|AC|fan|temperature) (up|down)( a bit| a little| to {temperature}| by two degrees|)
        (I'm|it's) (too |a bit |)(hot|cold|freezing|stuffy|chilly)( in here|)(, set it to {temperature}|, turn on {climate_mode}|, fan to {fan_level}|, make it {temperature}|); my (hands|feet) are cold, turn on {climate_mode}
        (driver|passenger) side {temperature}; {temperature} in the {seat_position} and {temperature} in the {seat_position}; (back to|actually,|no,) {temperature}; put {climate_mode} on {fan_level}; fan {fan_level}
        turn off the (heat|AC) in {duration}; have the car at {temperature} when I get <to_home>; <pls>set {climate_mode} to {fan_level}( in the {seat_position}|); it's {weather_condition=outside} outside, set the heat to {temperature}""",
        """{temperature} would be (nice|perfect); the {seat_position} seat is (too hot|too cold), make it {temperature}; crank the fan to {fan_level}""",
        """I'd like it {temperature} in here; the windshield is fogging up, use {climate_mode}; the kids in the {seat_position} are (cold|hot), go to {temperature}; <pls>bring the temperature (up|down) to {temperature}; more air, fan at {fan_level}""",
    ),
    Intent(
        "radio.tune",
        4,
        """
        <pls>(tune|switch|change|go) to {frequency}; <pls>tune (in |the radio |)to {station}; <pls>(play|put on|listen to) {station}( on the radio|); <pls>(turn|switch) (on|off) the radio; <pls>set the radio to ({frequency}|{station})
        <want> {station}( on the radio|); (next|previous|another|different) (station|channel); {station}( instead|) on the radio; no more {genre}, put on {station}; radio( on|) {frequency}; <pls>find (a|an) {genre} station( on the radio|)
        <pls>(save|store) (this station|{station}|{frequency})( as a preset| as a favorite|); <pls>(scan|search) for (stations|radio stations)( in {city}|); what's on {frequency}, tune in; {frequency} on the (dial|radio); at {time} (switch|tune) to {station}
        <pls>put {frequency} on {device}; I'm sick of this song, switch to {station}; the {city} station on {frequency}""",
        """let me have {frequency}; the radio should be on {station}; <pls>jump to {frequency} on the radio""",
        """<pls>bring up {station} on the radio; no music, just {station}; is {station} on, tune to it; <pls>dial in {frequency}""",
    ),
    Intent(
        "cabin.control",
        6,
        """
        <pls>(<open>|<shut>) {window_part}; <pls>(open|close|lower|raise) {window_part} (to |by |){percent}; <pls>(<open>|<shut>) {window_part} (a bit|a little|all the way|slightly|completely); {window_part} (up|down|open|closed)( please| a bit|)
        <pls>move the {seat_position} seat (forward|back|up|down)( a bit| a little| {percent}|); <pls>(recline|raise|lower|tilt) the {seat_position} seat( a bit| all the way| {percent}|); <pls>(move|slide) my seat (forward|back)( a bit| a little|)
        it's (raining|noisy|windy|dusty), (close|shut) {window_part}; I need (some |)(fresh air|air), open {window_part}( {percent}| a bit|); (a bit|a little) (more|less) on {window_part}; turn (on|off) the {seat_position} seat massage
        open {window_part} when we get <to_home>; I'm getting (out|in), (open|close) {window_part}; don't (open|close) {window_part}( yet|); stop {window_part} at {percent}; (pop|unlock|lock) {window_part=lid}""",
        """let some air in through {window_part}; {window_part} should be {percent} open; my knees hurt, push the {seat_position} seat back""",
        """<pls>leave {window_part} open {percent}; we want to see the stars, open {window_part}; did I leave {window_part} open, shut it; give me more legroom in the {seat_position} seat""",
    ),
    Intent(
        "vehicle.status",
        4,
        """
        (how's|check|show me) (the |my ){vehicle_part}; (what's|check|show me|how's) (the |my ){vehicle_part=gauge}; how is (the|my) {vehicle_part}( doing| looking|); is (the|my) ({vehicle_part} (okay|fine|alright)|{vehicle_part=gauge} (low|too low|too high|okay)); how much {vehicle_part=energy} (is left|do I have|do we have)( left|)
        do I need to (check|change|replace|refill) the {vehicle_part}( {date}|); is there enough {vehicle_part=energy} to (get to|reach) {destination=place}; when (was the {vehicle_part} last checked|did I last change the {vehicle_part}); check the {vehicle_part} and the {vehicle_part}
        what does the {vehicle_part} (warning|light|alert) mean; (are|is) {window_part=closable} (closed|open|locked); can (we|I) (get|drive) to {destination=place} (with|on) this {vehicle_part=gauge}; how many miles (are left|can I drive)( on this {vehicle_part=lasting}|)
        tell me (the|my) {vehicle_part=gauge}; will the {vehicle_part=lasting} last (until {destination=place}|{duration}|until {date})""",
        """anything wrong with the {vehicle_part}; before we drive to {destination=place}, how's the {vehicle_part}; why is the {vehicle_part} light on""",
        """<pls>give me a report on the {vehicle_part}; does the {vehicle_part} look normal; the {vehicle_part=gauge} seems low, is it; will I make it to {destination=place} on my {vehicle_part=lasting}""",
    ),
    Intent(
        "reminder.create",
        6,
        """
        <pls>remind me( <when>|) to {reminder_text}; <when> remind me to {reminder_text}; <pls>set a reminder( for <when>|) to {reminder_text}; <pls>remind me in {duration} to {reminder_text}; <pls>set an alarm for {time}( {date}|)
        <pls>(add|put) {reminder_text} (to|on) my (calendar|to-do list|list)( for <when>|); don't let me forget to {reminder_text}; when I get to {destination=place} remind me to {reminder_text}; <pls>set a timer for {duration}
        <pls>(move|reschedule|push) (my|the) (meeting|appointment|alarm) to <when>; <pls>cancel (my|the) (meeting|alarm|appointment) <when>; create an event <when>( with {contact}|); in {duration} I need to {reminder_text}, remind me
        schedule a (meeting|call|lunch) with {contact} <when>; make a note to {reminder_text}( <when>|); {contact} has a birthday {date}, remind me to {reminder_text}; wake me up (at {time}|in {duration}); push it back (by |){duration}""",
        """I have to {reminder_text}, nudge me <when>; alarm for {time}( {date}|); on my list: {reminder_text}""",
        """<pls>note in my calendar: <when> {reminder_text}; I should {reminder_text}, remind me <when>; <pls>put a meeting with {contact} in for <when>; give me a reminder {duration} from now to {reminder_text}""",
    ),
    Intent(
        "weather.query",
        5,
        """
        (what's|how's) the weather (in {city}|in {city} {date}|{date}|like {date}|{date} in {city}); will it {weather_condition} (in {city}|{date}|in {city} {date}|{date} in {city}|{date} at {time}); is it going to {weather_condition}( {date}| in {city}| in {city} {date}|)
        how (cold|hot|warm) (is it|will it be|will it get) in {city}( {date}|); do I need (an umbrella|a coat|a jacket|sunglasses)( {date}| in {city}| in {city} {date}|); <pls>(show|check|give) me the forecast for ({city}|{date}|{city} {date})
        what's the temperature in {city}( {date}| right now|); I'm going to {city} {date}, (will it {weather_condition}|what's the weather like|do I need a coat); and (in {city}|{date})( then|); what about {city}( {date}|) weather; weather {city}( {date}|)
        is {date} a good day (to wash the car|for a hike|for a picnic); which is (warmer|colder), {city} or {city}; could it {weather_condition} on the way to {destination=place} {date}; <first> is moving to {city}, does it (often |){weather_condition} there""",
        """any chance it will {weather_condition} {date}; what's {date} looking like outside in {city}; should I expect it to {weather_condition} in {city}""",
        """tell me if it will {weather_condition} {date} in {city}; does {city} get {weather_condition=sky} in {date=month}; how many degrees in {city} {date}; what kind of weather is {city} having""",
    ),
    Intent(
        "others",
        6,
        """
        (what's your name|who are you|how old are you|who made you|are you human|do you sleep|can you sing|you are (smart|funny|silly|useless)); <pls>tell me a (joke|story|fun fact|riddle)( about <city>| about cars| about dogs|)
        (how old|how tall|how rich|who) is <person>; (when|where) was <singer> born; is <person> (married|famous|still alive|from <city>); who (wrote|sang|composed) <song>; what (is <song> about|does <song> mean); do you like (<singer>|<city>|<song>|<genre>|driving|music)
        why (is the sky blue|is <city> so expensive|do people sleep|is <road> called that|is <genre> so popular); what's <number> (plus|minus|times) <number>; (how many people live in|what's the capital of|what is there to do in) <city>; what do you think (of|about) (<singer>|<poi>|<city>|<song>)
        I (was in <city>|met <person>|had pizza|saw a movie|went to <poi>) (yesterday|last week|today); (thanks|thank you|good morning|good night|goodbye|hello|never mind|you're welcome)( Nova| my friend| so much|); I (hate|love) (Mondays|traffic|this car|my job|<city>|<genre>)
        (who invented|what is) (the radio|the telephone|air conditioning|the sunroof|navigation|the window); (what day|what year) (is it|was <poi> built); how do you (spell|say|cook) (restaurant|hello|pasta|message|temperature); is <city> (bigger|older|nicer) than <city>
        (my <relation>|<first>) (thinks you're smart|doesn't like you|says hi|wants to know your name); (the navigation|that song|the call|the heater) (yesterday |)(was great|annoyed me|made me laugh); can we (talk|chat)( for a minute| about <singer>|)""",
        """have you ever been to <city>; did you know <singer> lives in <city>; I wonder who designed <poi>; is <song> a happy song""",
        """<singer> or <singer>, who's better; I used to live on <road>; what language do they speak in <city>; my <relation> grew up near <poi>; you know what, I really like <song>; do cars dream""",
        is_request=False,
    ),
)

_EXTRA = {
    "closable": "the windows|the doors|the trunk|the sunroof|all doors",
    "energy": "gas|fuel|battery|oil|coolant|washer fluid|range",
    "lasting": "battery|gas|fuel|oil|washer fluid|spare tire|brake pads",
    "lid": "the trunk|the tailgate",
    "number": "<degree>|<part_of_hundred>|<part_of_hundred_spelled>|<level>",
    "outside": "freezing|snowing|raining|windy|icy",
    "sky": "rain|snow|hail|storms|fog",
}

_ALIKE = """
to=too for=four the=a by=buy road=rode Road=Rode playing=plane right=write their=there want=won't can=can't weather=whether hear=here that=at
my=mine text=tax some=sum way=weigh know=no song=sung call=cold seat=seed rain=reign
"""
_MISHEARD = dict(entry.split("=") for entry in _ALIKE.split())

LANGUAGE = Language(
    name="en",
    intents=_INTENTS,
    rules={**RULES, **_PHRASES, **_EXTRA},
    open_rules=OPEN_RULES,
    free_text=frozenset({"message_text", "reminder_text"}),
    speech=Speech(
        leads="2*uh, |um, |3*hey Nova, |okay Nova, |Nova, |okay, |so, |well, |hmm, |alright, |oh, |hi, |sorry, |um so |listen, ",
        tails="5* please|2*, please|2* thanks|, thank you|, okay| if you can|, will you| real quick",
        hesitations="uh, |um, |2*uh |um |, um, |, uh, |like, |, you know, |, what's it called, |hmm, ",
        retractions=", no, |, no wait, |, sorry, |, I mean |, no sorry, |, actually |, wait, |, or rather ",
        misheard=_MISHEARD,
        letters=True,
    ),
)
