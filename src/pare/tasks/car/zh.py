"""Chinese commands: how each thing is asked for, and how people stumble when they ask."""

# A template or a rule reads best whole, however long its line.
# ruff: noqa: E501

from pare.tasks.car.language import Intent, Language, Speech
from pare.tasks.car.zh_values import OPEN_RULES, RULES

_PHRASES = {
    "ask": "10*|2*请|3*帮我|麻烦|请帮我|麻烦帮我|能不能帮我|可以帮我|麻烦你|我想让你|快|赶紧",
    "pls": "8*<ask>|给我",
    "play": "3*播放|2*放|放一下|播一下|2*来一首|放一首|听一下|点一首|唱一首",
    "want": "我想听|我要听|想听|给我来点|突然想听|还是听",
    "goto": "3*导航去|2*导航到|开车去|2*去|带我去|开到|前往|我要去|我想去",
    "heading": "3*<pls>(导航去|导航到|开到)|2*<goto>",
    "dial": "打电话|打个电话|拨个电话|拨电话|打一通电话|通个电话",
    "text": "发消息|发条消息|发个消息|发短信|发条短信|发微信|发个微信|留个言",
    "when": "2*{date}{time}|{date}|{time}|{date=evening}",
    "whom": "3*{contact}|{relation}|我{relation}",
    "bit": "一点|点|一些|一点点",
    "open": "打开|开一下|开启|开开|启动",
    "shut": "关上|关掉|关一下|关闭|关了",
}

_INTENTS = (
    Intent(
        "music.play",
        18,
        """
        <pls><play>{singer}的{song}; <pls><play>{singer}的《{song}》; <pls><play>{song}; <pls><play>《{song}》
        <want>{singer}的{song}; <want>{singer}(唱的|那首|那版){song}; <want>{song}(这首歌|)
        <pls>(放|播放|来)(几首|点|一些){singer}的歌; <pls>随便放(点|首){singer}的(歌|)
        <pls>(来|放)(点|些){mood}(的|一点的)(歌|音乐); <want>{genre}; <pls>(播放|放点|来点){genre}
        <pls>(放|来)(点|些)适合{mood=scene}(的时候|)听的(歌|{genre}|音乐); <want>{mood}的{genre}
        <pls>(播放|放){singer}(的|)专辑{album}; <pls><play>{album}这张专辑(里的{song}|); <want>{singer}的那张{album}
        <pls>(播放|打开|放)(我的|)歌单{playlist}; <pls>(播放|放){playlist}(这个|那个|)歌单(里的歌|)
        <pls>用{app}(播放|放|搜){singer}的{song}; 打开{app}(放|播|听){song}; <pls>在{app}(里|上)(放|找){singer}的(歌|专辑{album})
        <pls>在{device}(上|)(播放|放){song}; <pls>(把|将){singer}的{song}放到{device}(上|)播
        换成{singer}的(吧|); 换(一首|首){singer}的{song}; 不要这首，(放|换成|来首){song}; 我说的是{singer}(唱的|)那(版|首|个)
        还是(听|放){song}吧; 不是这首，是{singer}的{song}; 换(点|成){genre}; 太吵了，(来|换)点{mood}的
        <pls><play>{singer}和{singer}合唱的{song}; {singer}唱的那首{song}(放一下|来一遍|给我放一遍)
        去{destination=place}的路上给我放{song}; 下雨了，<play>{song}""",
        """<pls>搜一下{singer}有没有一首叫{song}的，放出来; 有没有{mood}(一点|些)的{genre}，放来听听
        歌名(叫|是){song}，{singer}唱的，放一下; 就听刚才说的那张{album}吧; 想换换口味，来点{genre}""",
        """把{singer}的那首{song}找出来放给我听; 听腻了，换{singer}的来听听; <pls>从{album}这张专辑里挑{song}放
        车里太闷了，放点{mood}的{genre}吧; {device}上来一首{song}; 有首歌叫{song}，{singer}唱的，给我放一下
        今天心情(好|不好|一般)，放首{singer}的歌吧""",
    ),
    Intent(
        "music.control",
        6,
        """
        <pls>(暂停|暂停播放|继续播放|停止播放|停一下|接着放|别放了|先别唱了); <pls>(切歌|换一首|跳过这首)(吧|); (下一首|上一首)(吧|歌|)
        (音量|声音)(调到|设为|开到|调成){percent}; <pls>把(音乐|歌|{device}|音箱)的(音量|声音)(调到|设为|开到){percent}
        (声音|音量)(大|小|高|低)<bit>(吧|); 太吵了，(声音|音量)(调低|调小|关小)<bit>; 听不(清|见)，大声<bit>
        <pls>(快进|快退|倒回|往后退){duration}; <pls>(单曲循环|随机播放|顺序播放|列表循环)(吧|模式|这首歌|); <pls>把{song}(单曲循环|循环播放|跳过)
        <pls>(静音|取消静音|打开静音|关闭声音)(吧|); {song}(放完|唱完)(就|以后)(停|暂停|别放了)
        {duration}(后|以后|之后)(停止播放|关掉音乐|暂停音乐); 这首(歌|{song})(不好听|听腻了)，(下一首|切了|跳过)
        {device}(静音|声音大<bit>|声音小<bit>|音量调到{percent}); <pls>从头(放|播)(一遍|)(这首歌|{song}|); <pls>(重新|再)(放|播)一遍(这首|刚才那首|)""",
        """把歌(停了|停掉|关了); 声音别超过{percent}; (这首|)不想听(这首|)了，跳过{song}""",
        """<pls>把声音降到{percent}; 音乐先停(一停|一下)，我要(打电话|接电话|睡觉); {song}放到{duration}的地方; {device}再大声<bit>
        <pls>跳到下一首，这首{song}(听过了|太吵)""",
    ),
    Intent(
        "music.favourite",
        5,
        """
        <pls>(收藏|喜欢|收藏一下)(这首歌|这首|{song}|{singer}的{song}); <pls>把(这首歌|刚才那首|{song}|{singer}的{song})加到{playlist}(歌单|里|)
        <pls>把刚才那首{song}(加到|放到|存到|放进){playlist}(歌单|里|); <pls>把{song}从{playlist}(歌单|)里(删掉|移除|去掉)
        <pls>取消收藏(这首歌|{song}|{singer}的{song}); <pls>把{album}(这张专辑|)(收藏了|收藏一下|加到收藏); <pls>关注(一下|)(歌手|){singer}
        <pls>新建(一个|)歌单(叫|名叫|){playlist}; 这首{song}(好听|不错|太好听了)，(收藏|收藏一下|加到{playlist}); 把它(加到|放进|存到){playlist}(吧|里)
        <pls>(喜欢|收藏){singer}这张{album}; {singer}的歌都(收藏|加到{playlist}); <pls>用{app}收藏{song}; 加到{playlist}(里|歌单)(吧|)
        这首(歌|)我喜欢，(存起来|收藏吧|加到歌单{playlist})""",
        """<pls>给{singer}的{song}点个(喜欢|收藏); 把{song}也放进我的{playlist}; {playlist}里加上{singer}的{song}""",
        """<pls>把正在放的{song}存进歌单{playlist}; {song}不错，给我存到{playlist}里; 我喜欢{singer}的{song}，收藏起来
        <pls>把{playlist}里的{song}(去掉|删了)""",
    ),
    Intent(
        "navigation.start",
        14,
        """
        <heading>{destination=place}; <heading>{destination=place}; <goto>{city}的{destination=local}; <pls>(去|到){destination=place}怎么走
        <pls>从{departure=place}(到|去|开到){destination=place}(怎么走|的路线|)(，{route_preference}|); 从{departure=place}出发(去|到){destination=place}
        <heading>{destination=place}，(途经|经过|路过|顺路去){via=stop}; 先去{via=stop}再去{destination=place}; 去{destination=place}，{route_preference}
        <heading>{destination=place}，(途经|经过){via=stop}，{route_preference}(的路线|); <heading>{destination=place}，走{road}
        <pls>从{departure=place}(经过|途经|走){via=stop}(到|去){destination=place}; 去{destination=place}的路上顺便(去一趟|拐到){via=stop}
        <pls>(找|搜)(一下|个|)(附近|最近|旁边)的{poi_type}; 附近(有没有|哪里有|有){poi_type}; {destination=place}(附近|旁边)的{poi_type}
        <goto>(最近|附近)的{poi_type}; 还是去{destination=place}吧; 改去{destination=place}; 目的地(改成|换成|设为|是){destination=place}
        不去<place>了，去{destination=place}; 回{destination=home}(，{route_preference}|); 从{departure=home}(到|去){destination=place}(怎么走|); <goto>{destination=home}; 我要{date}{time}(前|之前|)到{destination=place}，怎么走; 饿了，找个{poi_type}
        {road}上(有没有|哪里有){poi_type}; 去{city}{road}的{poi_type}; 用{route_preference}的路线去{destination=place}""",
        """{destination=place}在哪，(带我过去|导航过去); 我在{departure=place}，(想|要)去{destination=place}; 下一站{destination=place}，中间路过{via=stop}
        往{destination=place}开，{route_preference}""",
        """规划一条去{destination=place}的路线，{route_preference}; 我人在{departure=place}，带我去{destination=place}，经过{via=stop}
        到{destination=place}去，路上要经过{via=stop}; {contact}在{destination=place}等我，开车过去; 有点困，看看哪里有{poi_type}
        <pls>设个导航，目的地{destination=place}""",
    ),
    Intent(
        "navigation.reroute",
        5,
        """
        (途中|路上|中途)(加|添加|加一个)(途经点|){via=stop}; <pls>(添加|加一个|增加)途经点{via=stop}; 顺路去(一下|一趟){via=stop}; 中途想去(个|一下){poi_type}
        <pls>(避开|绕开){road}(吧|); <pls>(换|改)(一条|条|成)(走|){road}(的路线|); 路线(改成|换成|选){route_preference}(的|); <pls>换(一条|条){route_preference}的(路|路线)
        <pls>把去{destination=place}的路线(改成|换成){route_preference}(的|); 能不能{route_preference}; 我想{route_preference}(一点|); 不走{road}，走{road}
        <pls>把途经点{via=stop}(删掉|去掉|取消); {via=stop}不(用去|去|经过)了; 去{destination=place}别走{road}; 路上先(拐到|去一下){via=stop}
        先别急着去{destination=place}，路上加(一个|个){via=stop}; <pls>在路上(找|加)(一个|个){poi_type}""",
        """前面{road}不好走，(换一条|绕一下); 半路要去{via=stop}接(人|孩子); 这条路不好，要{route_preference}的""",
        """<pls>绕过{road}; 到{destination=place}之前还要去{via=stop}; 路线能不能{route_preference}; 不想从{road}走，换一条
        途经点里加上{via=stop}""",
    ),
    Intent(
        "navigation.cancel",
        4,
        """
        <pls>(取消|退出|结束|关闭|停止|关掉)(导航|本次导航|当前导航|路线)(吧|); 不去{destination=place}了(，取消导航|，回家|); <pls>把去{destination=place}的(导航|路线)(取消|关掉|停掉)(吧|)
        <pls>(取消|停止|结束)去{destination=place}的(导航|路线); 别导航(了|去{destination=place}了); (到|快到)(了|{destination=place}了)，(不用导航了|导航关掉|结束导航)
        我(认识|知道)路(了|)，(别导了|关掉导航|不用导航); {destination=place}(我认识|我熟|的路我知道)，(不用导航|导航关了吧|取消导航)
        算了，(不去了|不去{destination=place}了); {date}再去{destination=place}，(先取消|今天不去了|导航取消); 从{departure=place}到{destination=place}的(导航|路线)(不要了|取消)""",
        """去{destination=place}的(导航|路线)不用了; 导航(可以|)停了，{destination=place}不去了; 不用再导航了""",
        """{contact}说不用去{destination=place}了，把导航关了; 别再往{destination=place}导了; 临时有事，{destination=place}去不了了
        <pls>清除去{destination=place}的路线; 导航先停(一下|了)吧""",
    ),
    Intent(
        "navigation.traffic",
        4,
        """
        (去|到){destination=place}(的路上|)(堵不堵|堵车吗|堵吗|路况怎么样); {road}(现在|前面|)(堵不堵|堵车吗|堵吗|路况怎么样|车多吗); <pls>(看|查)(一下|)({road}|前方|前面)的路况
        从{departure=place}到{destination=place}(要多久|多远|要开多长时间|堵不堵|有多少公里); (到|离|距离){destination=place}(还有多远|还要多久|还有几公里)
        {date}{time}去{destination=place}(会不会堵|堵不堵|要多久); 走{road}去{destination=place}(快不快|要多久|堵不堵); 去{destination=place}，{road}堵不堵
        <pls>(看|查)一下去{destination=place}的路(堵不堵|况|上堵不堵); 前面(怎么这么堵|是不是堵车了|发生什么了|有事故吗); (几点|什么时候)能到{destination=place}
        经过{via=stop}去{destination=place}要多久; {city}(现在|{date}|)路况怎么样""",
        """{road}上车多不多; 现在去{destination=place}得多长时间; {road}是不是(又|)堵了""",
        """{time}能不能到{destination=place}; 开到{destination=place}(得|需要)多久; {road}那边(通不通|好走吗); 到{destination=place}走{road}会不会堵""",
    ),
    Intent(
        "phone.call",
        9,
        """
        <ask>给<whom><dial>(吧|); <ask>给<whom><dial>; <ask>打(电话|个电话|)给<whom>; <ask>(呼叫|拨打|拨通|联系)(一下|){contact}(的电话|); <ask>(拨打|呼叫|打|拨){phone_number}
        <ask>(打|拨打)<whom>的(手机|电话|座机|办公室电话); <ask>往{phone_number}<dial>; 我(想|要)(找|给)<whom>(打电话|通话|打个电话)
        <ask>用{device}给<whom><dial>; 不是<contact>，是{contact}; 打给{contact}，不是<contact>; 还是打给<whom>吧; 换{contact}的电话打; 重拨(一下|刚才的号码|{phone_number}|{contact}的电话)
        刚才{contact}(打来|来电话了|的电话没接到)，(回一个|打回去|拨过去|回个电话); 问(一下|问){contact}到哪了，打个电话; <ask>接通<whom>的(电话|视频); 和<whom>(视频|通话|通个话|打个电话)
        到{destination=place}了，给<whom><dial>; 给<whom>放在{destination=place}的(手机|电话)打过去; 号码是{phone_number}，(拨过去|打一下)
        <ask>给{poi_type}打个电话; <ask>打{destination=poi}的电话""",
        """我得跟<whom>(说句话|说两句)，拨过去; 电话(打|拨)给{contact}; 把电话接到{contact}(那儿|)""",
        """找一下{contact}的(号码|电话)，打过去; <whom>的电话给我拨一下; 拨个号，{phone_number}; 帮我联系{relation}，打他手机
        想跟{contact}聊(两句|会儿)，打个电话""",
    ),
    Intent(
        "message.send",
        7,
        """
        <ask>给<whom><text>(说|，|告诉他|，说|，就说){message_text}; <ask>给<whom><text>说{message_text}; <ask>告诉<whom>(，|说|){message_text}; <ask>跟<whom>说(一声|一下|){message_text}
        <ask>用{app}给<whom>(发消息|发一条)(说|，){message_text}; <ask>发(短信|消息|微信)给<whom>(说|，|，内容是){message_text}; 回复<whom>(说|，|){message_text}
        <ask>给<whom><text>; <ask>发(个|条)(消息|短信|微信)给<whom>; <ask>给{phone_number}发(条|)短信(说|，){message_text}; <ask>给<whom>(发位置|发我的位置|发定位)
        给<whom>(发|留)(一条|个)(语音|言)(说|，){message_text}; 不打电话了，给<whom><text>(说|，){message_text}; <ask>(通知|转告)<whom>(，|说){message_text}
        内容(改成|换成|是){message_text}; 到{destination=place}(以后|之后)给<whom><text>(说|，){message_text}""",
        """<ask>捎句话给<whom>，{message_text}; <text>，收件人{contact}，内容{message_text}; 微信上(告诉|跟)<whom>(说|)，{message_text}""",
        """<ask>回一下<whom>，就说{message_text}; 写条(短信|消息)给<whom>，{message_text}; 让<whom>知道{message_text}
        消息发给<whom>，内容是{message_text}""",
    ),
    Intent(
        "climate.set",
        9,
        """
        (空调|温度|车里温度)(调到|设为|开到|设置成|调成){temperature}; <pls>把({seat_position}|{seat_position}的|)(空调|温度)(调到|设到|开到|降到|升到){temperature}
        <pls>(打开|关闭|开一下|关了|关掉)空调; <pls>(打开|开一下|关闭|关掉|开启)({seat_position}|{seat_position}的|){climate_mode}; 空调(换成|切到|开){climate_mode}; {climate_mode}(打开|关掉|开一下|开到{fan_level})
        (风量|风速|空调风量|风)(调到|开到|设为){fan_level}; <pls>把{seat_position}(的|)(风量|风速)(调到|设为|开到){fan_level}; (风|风量)(再|)(大|小)<bit>
        再(暖|热|凉|冷)<bit>(吧|); (太|有点|好)(热|冷|闷)(了|)(，温度{temperature}|，{temperature}吧|，调到{temperature}|，开{climate_mode}|，风调到{fan_level}); {seat_position}(有点|太)(冷|热)(了|)
        (还是|就)(调到|开到|){temperature}吧; (温度|空调)(再|)(高|低)<bit>; (升高|降低|调高|调低)(两度|一度|三度); {seat_position}{temperature}，{seat_position}{temperature}
        {duration}(后|以后)(关|打开|关掉)空调; 睡觉了，空调(调到|开){temperature}; 到{destination=home}之前把空调开到{temperature}; (用|开)(制冷|制热)模式，{temperature}，风量{fan_level}""",
        """车里(跟冰箱一样|像冬天)，升到{temperature}; {seat_position}的人(怕|太)(冷|热)，{climate_mode}(打开|开一下); 空调吹得(太冷|难受)，换{climate_mode}""",
        """我要{temperature}的空调; 温度别(高过|低过){temperature}; 孩子在{seat_position}睡着了，风量(小<bit>|{fan_level}); 手(有点|太)冷，开一下{climate_mode}
        {seat_position}那边{temperature}就行; 玻璃上都是雾，开{climate_mode}""",
    ),
    Intent(
        "radio.tune",
        4,
        """
        <pls>(打开|收听|调到|切到|换到){frequency}; <pls>(打开|收听|听|调到|切到|放|播放){station}; <pls>把(收音机|电台|广播)(调到|换到|切到)({frequency}|{station})
        <pls>(打开|关闭|开一下|关掉)(收音机|广播|电台); <want>({station}|{frequency}); 换(个|一个)(电台|台|频道)(吧|); 换成{station}; (下|上)一个(台|电台|频道)
        收音机(听|放|换){station}(吧|); 还是听{station}吧; 不听{genre}了，听{station}; <pls>(搜索|搜一下|收藏)(附近的|)(电台|{station}); {city}的{frequency}
        听(一下|会儿)(广播|收音机)，({frequency}|{station}); <pls>找(一下|个)(讲|放)({genre}|新闻|故事)的(台|电台); {time}(打开|播放|听){station}; {station}的(频率|)是{frequency}，调过去""",
        """(电台|广播)给我(定|停)在{frequency}; 不听歌了，{station}听一会儿; {frequency}那个台""",
        """<pls>拨到{frequency}; 想听广播，{station}; {frequency}是什么台，听听看; 收音机里找{station}""",
    ),
    Intent(
        "cabin.control",
        6,
        """
        <pls>(<open>|<shut>){window_part}; <pls>把{window_part}(<open>|<shut>|关严|打开); <pls>(<open>|<shut>)({seat_position}|{seat_position}的){window_part=pane}
        (<pls>把|){window_part}(开到|关到|打开到){percent}; {window_part}(打开|开){percent}; {window_part}(开|关)(大|小|)<bit>; {window_part}(开个缝|留条缝|别关|打开透透气)
        <pls>把{seat_position}(的|)座椅(往前|往后|往上|往下|调高|调低|放倒|放平)(调|挪|)(<bit>|{percent}|); {seat_position}座椅(往前|往后|调高|调低)(<bit>|)
        (座椅|靠背)(往前|往后|往上|往下)(调|挪)(<bit>|); 下雨了，(<shut>|关好){window_part}; 太闷了，(开|打开){window_part}(透透气|); 有点(吵|晒)，(关上|关掉){window_part}
        再(开|关)(大|小|)<bit>{window_part}; {seat_position}(按摩|座椅按摩)(打开|关掉|开一下); 高速上风大，{window_part}(关上|关了|关小<bit>)
        (上|下)车了，(打开|关上){window_part}; 到{destination=home}了，{window_part}(打开|关上)""",
        """{window_part}能不能(开|关)(一下|<bit>); (外面|路上)灰大，{window_part}<shut>; {seat_position}坐着(不舒服|太挤)，座椅往后<bit>""",
        """{window_part}给我开到{percent}; 想看星星，{window_part}(打开|开大<bit>); 把{seat_position}的靠背放低<bit>
        {window_part}是不是没关，关上; 透透气，{window_part}开{percent}""",
    ),
    Intent(
        "vehicle.status",
        4,
        """
        <pls>(看|查)(一下|看)(车的|)({vehicle_part}|{vehicle_part=gauge}); {vehicle_part}(怎么样|正常吗|有没有问题|还好吗); {vehicle_part=gauge}(还有多少|是多少|够不够|正常吗); (我的|现在|)车(的|)({vehicle_part}(怎么样|正常吗)|{vehicle_part=gauge}是多少)
        现在{vehicle_part=gauge}(多少|怎么样|还有多少|够不够); {vehicle_part}(要不要|该不该|什么时候)(换|检查|加)(了|); <pls>(检查|查|看)(一下|){vehicle_part}和{vehicle_part}
        {vehicle_part=energy}(够不够|能不能)(开到|跑到|到){destination=place}; 上次换{vehicle_part}是(什么时候|哪天); {vehicle_part}报警(了|)是(怎么回事|什么意思)
        开到{destination=place}{vehicle_part=energy}(够吗|够不够|还剩多少); {date}(要|需要)(检查|换){vehicle_part}吗; {window_part=closable}(关了吗|关好没有|锁了没有|还开着吗)
        我的{vehicle_part}还能(用|跑|开)({duration}吗|多久|到{city}吗)""",
        """{vehicle_part}那个灯(亮了|怎么亮了); 出发前看看{vehicle_part}行不行; 跑长途去{city}，{vehicle_part}有问题吗""",
        """{vehicle_part=gauge}是不是(低了|不够了); <pls>报一下{vehicle_part=gauge}; 回{destination=place}的话{vehicle_part=energy}够吗; {vehicle_part}现在什么情况""",
    ),
    Intent(
        "reminder.create",
        6,
        """
        (请|麻烦|记得|到时候|)提醒我<when>{reminder_text}; <when>提醒我{reminder_text}; <when>(叫|提醒)我{reminder_text}
        <pls>(设|定|加|建)(一个|个)(提醒|日程|待办)，(<when>|){reminder_text}; {duration}(后|以后|之后)提醒我{reminder_text}; <pls>设(一个|个){time}的(闹钟|提醒)
        <pls>把<when>{reminder_text}(加到|记到|写进)(日程|日历|待办)(里|); 到{destination=place}(的时候|以后|)提醒我{reminder_text}; 别让我忘了{reminder_text}
        <pls>把(提醒|闹钟|日程|会议)(改到|推迟到|提前到|换到)<when>; {date}{time}的(闹钟|会议|日程)(取消|推迟{duration}|提前{duration}); <pls>定(一个|个){duration}的(闹钟|倒计时)
        下车(的时候|前|以后)提醒我{reminder_text}; <when>有个会，提醒我(提前{duration}出发|{reminder_text}); <pls>记一下，<when>{reminder_text}; {contact}<when>过生日，提醒我{reminder_text}""",
        """<when>我要{reminder_text}，到点叫我; 日历上(记|写)(一笔|一下)，<when>{reminder_text}; 闹钟{date}{time}""",
        """<when>别忘了叫我{reminder_text}; <pls>建个日程，<when>，内容是{reminder_text}; {duration}以后叫我一声，要{reminder_text}
        待办里加一条，{reminder_text}""",
    ),
    Intent(
        "weather.query",
        5,
        """
        {city}{date}(的|)天气(怎么样|如何|好不好|); {date}{city}(会不会|会|能不能){weather_condition}(吗|); <pls>(查|看)(一下|){city}(的|)(天气|气温|天气预报)
        {date}(会不会|会){weather_condition}(吗|); {date}{time}(会不会|会|){weather_condition}(吗|); (外面|现在|{city})(多少度|冷不冷|热不热|天气怎么样|空气怎么样)
        {date}(要不要|用不用)带(伞|外套); 去{city}(要不要|用不用)(带伞|带外套|穿厚一点); {date}去{city}，那边(冷不冷|会不会{weather_condition}|天气怎么样|热吗)
        {city}(未来|最近)(三天|几天|一周)(的|)天气; {city}和{city}(哪个|哪里)(热|冷|暖和); {city}呢; 那{date}呢; 那{city}{date}呢; {date}适合(洗车|出去玩|爬山|跑步)吗
        {date}{city}(最高|最低)(气温|温度)(多少|是多少); {date}去{destination=poi}会不会{weather_condition}; {city}现在{weather_condition}(了吗|没有)
        (听说|)<person>(说|)要去{city}，那边(会不会|会不会又){weather_condition}""",
        """{city}那边{date}是什么天; 看看{date}有没有可能{weather_condition}; {city}{date}出门(冷|热)吗""",
        """{date}{city}是不是要{weather_condition}; {city}这(两|几)天{weather_condition}吗; 想知道{city}{date}几度; {date}路上会{weather_condition}吗，我要去{city}""",
    ),
    Intent(
        "others",
        6,
        """
        你(叫什么(名字|)|是谁|几岁了|会做什么|会唱歌吗|真(聪明|笨|可爱)|吃饭了吗|喜欢(<singer>|<city>|开车|下雨|听歌)吗); (给我|)讲(个|一个)(笑话|故事|冷笑话)(吧|听听|)
        我(今天|昨天|刚才)(在<poi>|在<city>|)(好累|很开心|吃了火锅|看了场电影|见到<person>了|差点迟到); <singer>(今年|)(多大|几岁|结婚了|是哪里人|多高|红了多少年)(了|吗|)
        <song>是(谁写的|哪年的歌|谁唱的|什么意思); <city>有(什么好吃的|什么好玩的|多少人|几个机场); 为什么(天是蓝的|<city>这么热|总是堵车|人要睡觉|<road>叫这个名字)
        <number>(加|减|乘|除以)<number>等于(多少|几); <city>(离|到)<city>(的历史哪个长|谁更大); 你觉得(<singer>|<city>|<song>|<band>|<poi>)(怎么样|好不好|有意思吗); <person>(这个人|)(怎么样|是谁|做什么的)
        (谢谢|多谢)(你|)(啊|了|); (你好|早上好|晚上好|再见|晚安|辛苦了)(啊|呀|); (刚才|昨天)(的导航|那首歌|的电话|的空调)(把我气坏了|真不错|不是我要的|是谁弄的); 我(不想|想)(上班|开车|说话)(了|)
        (<poi>|<city>|故宫)(是哪年建的|有多少年了|为什么这么有名|是谁设计的); <song>和<song>哪个(更红|好听|先出来的); <genre>(是从哪里来的|为什么这么流行); 一公里(等于|是)多少(米|步)
        (今天|明天)(是|)(星期几|什么节日|几号); (苹果|牛奶|咖啡|火锅)(怎么做|多少钱|好吃吗|英文怎么说); 我(妈|爸|老婆|儿子)(说你真聪明|不喜欢你|觉得你很笨|问你几岁了)
        <person>和<person>谁(高|大|更有名|厉害); 你会(想|爱|等)我吗; (你|)能不能(聊聊天|陪我说话|背首诗|学小狗叫)(吗|); 空调是谁发明的; 电话是谁发明的; 导航的声音(是谁|真好听)""",
        """<singer>的歌你(听过|喜欢)吗; <city>这个城市你(去过|知道)吗; 跟我聊聊<poi>的历史; 给我(背|念)一首诗; 你说<person>为什么不(理我|喜欢我)""",
        """<song>这首歌讲的是什么故事; 从<city>来的人都喜欢吃什么; 你知道<singer>最近怎么样了吗; 人为什么要(睡觉|上班|开会); 我刚才在<road>看见<person>了
        听说<poi>很有名，是真的吗; <number>和<number>哪个大""",
        is_request=False,
    ),
)

_EXTRA = {
    "evening": "今晚|明早|明晚",
    "closable": "车窗|天窗|车门|后备箱|尾门",
    "pane": "车窗|窗户|天窗|玻璃|遮阳帘",
    "number": "<degree>|<part_of_hundred>|<part_of_hundred_spelled>|<level>",
}

_ALIKE = """
的得地 导到 航行 放方 播拨 听停 调条 到道 去趣 给跟 打大 电店 话画 路录
空控 温文 度渡 开凯 关官 我窝 想响 要药 一衣 首手 歌哥 在再 再在 车扯
窗床 帮邦 点典 换唤 成城 他她 说所 发法 消销 息席 提题 醒星 收手 藏长
张章 周州 李里 明名 华花 伟为 杰节 江将 山三 湖胡 阳羊 天添 气汽 堵赌
机鸡 广光 场厂 新心 风封 走奏 后候
"""
_MISHEARD = {entry[0]: entry[1:] for entry in _ALIKE.split()}

LANGUAGE = Language(
    name="zh",
    intents=_INTENTS,
    rules={**RULES, **_PHRASES, **_EXTRA},
    open_rules=OPEN_RULES,
    free_text=frozenset({"message_text", "reminder_text"}),
    speech=Speech(
        leads="3*嗯，|2*呃，|那个，|那个|哎，|对了，|3*小派，|2*你好小派，|小派小派，|哦，|就是，|这样，|等一下，|好，",
        tails="3*，谢谢|谢谢|，快点|，辛苦了|，好吗|2*，行吗|，可以吗|，嗯|，谢谢啊|，麻烦了|，谢谢你",
        hesitations="嗯，|，嗯，|那个|，那个，|呃，|，呃，|那什么，|这个这个，|，就是那个，|，叫什么来着，",
        retractions="，不对，|，不是，|，哦不，|，不不，|，啊不对，|，说错了，|，不，是|，应该是|，等等，",
        misheard=_MISHEARD,
        letters=False,
    ),
)
