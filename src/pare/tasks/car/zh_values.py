"""Chinese slot values, composed from parts so that there are thousands of them."""

# A template or a rule reads best whole, however long its line.
# ruff: noqa: E501

from collections.abc import Iterable

_DIGITS = "零一二三四五六七八九"


def spelled(number: int) -> str:
    """A number below a hundred in Chinese characters."""
    tens, ones = divmod(number, 10)
    if not tens:
        return _DIGITS[ones]
    return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[ones] if ones else "")


def _either(numbers: Iterable[int]) -> str:
    return "|".join(f"{number}|{spelled(number)}" for number in numbers)


def _frequencies() -> str:
    spoken = (f"{whole}点{_DIGITS[tenth]}" for whole in range(88, 108) for tenth in range(0, 10, 2))
    return "|".join([*(f"{tenths / 10:.1f}" for tenths in range(875, 1080, 3)), *spoken])


RULES: dict[str, str] = {
    # People
    "surname": "王|李|张|刘|陈|杨|赵|黄|周|吴|徐|孙|马|朱|胡|林|郭|何|高|罗|郑|梁|谢|宋|唐|许|邓|冯|韩|曹|沈|江",
    "given": "(伟|强|磊|军|杰|涛|超|明|刚|平|辉|鹏|静|敏|丽|艳|娟|霞|燕|玲|婷|雪|琳|洁)"
    "|2*(小|晓|文|志|国|建|海|天|子|雨|思|佳|美|玉|春|秋|嘉|云|家|俊)"
    "(明|华|平|军|红|龙|峰|兰|英|梅|芳|林|宇|轩|涵|萱|怡|杰|伟|强|洁|琳|琪|阳)",
    "person": "<surname><given>",
    "contact": "6*<person>|(老|小)<surname>|<surname>(总|工|经理|主任|医生|老师|师傅|教练|姐|哥|阿姨)"
    "|阿(强|明|杰|芳|华|龙|霞)|(小|大)(龙|明|雨|雪|美|军|琳)|房东|物业|快递员|班主任",
    "relation": "妈|爸|妈妈|爸爸|老婆|老公|媳妇|儿子|女儿|姐|姐姐|哥|哥哥|弟弟|妹妹|奶奶|爷爷|外婆|外公|舅舅|姑姑|表哥|同桌",
    "band": "(海风|云朵|青山|夏夜|铁路|落日|小镇|银河|向日葵|旧时光|白马|红日|南方|北岸|野草)(乐队|乐团|组合|少年|兄弟)",
    "singer": "5*<person>|2*<band>|周杰伦|陈奕迅|王菲|邓丽君|周华健|孙燕姿|林俊杰|李宗盛|刘若英|张学友|梁静茹|五月天"
    "|阿(琳|云|雨|兰)|小(阳|宇)|(大|小)(白|马|雨)",
    "digit": "0|1|2|3|4|5|6|7|8|9",
    "spoken_digit": "零|一|二|三|四|五|六|七|八|九|幺",
    "phone_number": "2*1(3|5|8)<digit><digit><digit><digit><digit><digit><digit><digit><digit>"
    "|<digit><digit><digit><digit>|10086|12122|95588|110|120"
    "|幺(三|五|八)<spoken_digit><spoken_digit><spoken_digit><spoken_digit><spoken_digit><spoken_digit><spoken_digit>",
    # Places
    "city": "北京|上海|广州|深圳|杭州|南京|苏州|成都|重庆|武汉|西安|长沙|青岛|大连|厦门|天津|郑州|合肥|昆明|海口|三亚"
    "|宁波|无锡|福州|济南|桂林|丽江|大理|洛阳|长春|珠海|东莞|佛山|南昌|南宁|兰州|银川|扬州|徐州|中山",
    "area": "人民|解放|中山|滨江|东湖|西湖|南山|北海|翠湖|金沙|龙泉|凤凰|阳光|星河|海棠|玉兰|白云|青山|春风|新华|和平"
    "|建国|长江|黄河|朝阳|文化|光明|幸福|五一|复兴|科技|学府|望江|花园|银杏|红梅|石桥|江南|天河|大唐",
    "spot": "广场|公园|大厦|火车站|东站|南站|人民医院|中医院|图书馆|博物馆|体育馆|科技园|小区|花园|中学|小学|大学|美术馆"
    "|商场|大酒店|宾馆|植物园|动物园|机场|码头|古镇|夜市|茶楼|书店|火锅店|国际中心|影城|会展中心",
    "local": "<area><spot>",
    "poi": "<area><spot>|<area><spot>|<city>(站|东站|南站|机场|博物馆|动物园|大学|图书馆|人民广场)"
    "|<person>(面馆|牙科|烧烤|理发店)|(老|小)<surname>(面馆|烧烤|火锅店)|故宫|外滩|东方明珠|西湖|天安门|龙门石窟",
    "road": "3*<area>(路|大道|街|东路|西路|南路|北街|大桥|隧道|高架)|<city>(路|街|大道|绕城高速)"
    "|(东|南|西|北|一|二|三|四|五)环(路|)|(沪宁|京沪|广深|杭州湾|成渝|机场|长江|环城)高速",
    "home": "家|公司|单位|学校|我家|爸妈家",
    "place": "6*<poi>|2*<road>|2*<city>|<road>(路口|地铁站|收费站)|<road><digit>号|<person>家",
    "stop": "6*<poi>|2*<road>|<city>|<road>(路口|地铁站|收费站)|<person>家",
    "poi_type": "加油站|充电站|充电桩|停车场|超市|便利店|药店|医院|厕所|洗手间|洗车店|咖啡馆|咖啡店|火锅店|面馆|餐厅|酒店"
    "|银行|服务区|修车店|书店|地铁站|电影院|公园|奶茶店|烧烤店|川菜馆|派出所|(便宜|好吃|安静)的(餐厅|面馆|咖啡馆)",
    "route_preference": "不走高速|走高速|高速优先|少收费|不收费|避开拥堵|躲避拥堵|最快|最近|距离最短|时间最短|红绿灯少|少走高速"
    "|不堵车|路况最好|风景好|大路优先|费用最低",
    # Music
    "colour": "蓝色|白色|金色|透明|温柔|遥远|最后|旧|远方|寂寞|安静|流浪|迷路|漫长|勇敢|沉默|新|南方|夏天|冬天|春天|秋天|明天|昨天"
    "|午后|深夜|小小|简单|孤单|年轻",
    "thing": "风|雨|雪|月亮|星星|海|河|路口|车站|城市|小镇|窗|灯|信|歌|梦|眼泪|花|树|天空|云|街|夏天|冬天|列车|电话|朋友|姑娘|少年"
    "|时光|秘密|约定|翅膀|回忆|故乡|咖啡馆|花园|公园",
    "song": "4*<colour>的<thing>|<thing>里的<thing>|再见(了|)<thing>|<city>的(雨|雪|夏天|冬天|夜|姑娘|街)|(风|海|树|星星|城市|列车|花)与(雨|河|云|月亮|小镇|车站|梦)"
    "|等(风|雨|你|雪|一个人|月亮)|<road>|<city>|(你|我|她)的<thing>|(不|别)(说|想|问|等)(你|了|再见)|(想|爱|等|梦见)(你|她)的<thing>"
    "|没有<thing>的(夜|路|城市|夏天)|花心|朋友|红豆|晴天|告白气球|千里之外|十年|后来|月光|甜蜜蜜|下雨天|回家|路过|打电话给我|导航"
    "|一(朵|片|场)(云|花|雪|雨)|(星期一|凌晨三点|二十岁|第九)的<thing>",
    "album": "2*<colour>的<thing>|<thing>之(歌|城|夜|路|外)|(风|海|树|星星|城市|列车|花)与(雨|河|云|月亮|小镇|车站|梦)|<city>(往事|故事|印象|日记)|(第一|第二|第三)张<thing>"
    "|<thing>(日记|往事|故事)|叶惠美|范特西|十一月|一九八九|自由行走|寓言",
    "genre": "摇滚|民谣|爵士|古典|流行|电子|说唱|蓝调|轻音乐|钢琴曲|古风|儿歌|粤语歌|英文歌|老歌|网络歌曲|乡村|舞曲|京剧|相声"
    "|纯音乐|白噪音|八十年代的老歌|九十年代的情歌|日语歌|吉他曲",
    "mood": "轻松|安静|欢快|伤感|舒缓|放松|提神|浪漫|温柔|热闹|治愈|怀旧|激情|动感|快乐|悲伤|甜|嗨|燃|慵懒",
    "scene": "开车|睡觉|跑步|下雨天|晚上|长途|堵车|约会|回家路上|周末|早上|一个人|写作业|孩子睡前|加班",
    "playlist": "<scene>(必听|专用)|<mood>(时刻|小曲|旅程|合集)|我的<colour><thing>|<city>(之旅|夜晚|漫步)|<colour><thing>"
    "|我喜欢|最爱|(宝宝|老婆|老爸)的歌|<genre>(精选|合集)|<person>(精选|合集)|(路上|车里)听|2024精选",
    "app": "音乐盒|云朵音乐|蓝鲸音乐|小鹿听书|天天畅听|声浪|橙子音乐|随身听|云海听书|麦田音乐|听见|乐山",
    "device": "后排音响|后排屏幕|蓝牙音箱|副驾屏幕|车载音响|头枕音响|手机|平板|左边的音箱|全车音响|中控屏|低音炮",
    "station": "<city>(交通|音乐|新闻|经济|故事|都市)(广播|台|电台)|(中国|中央|江南|长江|黄河|海峡)之声|<area>(调频|之声|电台)"
    "|<colour>(电台|调频)|(交通|音乐|新闻)广播",
    "frequency": "(FM|调频|fm|)("
    + _frequencies()
    + ")|(AM|中波)((六|七|八|九)百(五|二|)|(6|7|8|9)(03|20|39|57|82))",
    # Numbers
    "temperature": "3*<degree>度|<half_degree>度|<degree>度半|<degree>摄氏度|最低|最高",
    "degree": _either(range(16, 32)),
    "half_degree": "|".join(f"{number}.5|{spelled(number)}点五" for number in range(17, 31)),
    "fan_level": "<level>(挡|档|级)|最大|最小|最大挡|最小挡|中挡|低挡|高挡",
    "level": _either(range(1, 9)),
    "percent": "<part_of_hundred>%|百分之<part_of_hundred_spelled>|一半|三分之一|四分之一|最大|三分之二",
    "part_of_hundred": "|".join(map(str, range(5, 100, 5))),
    "part_of_hundred_spelled": "|".join(map(spelled, range(5, 100, 5))),
    "duration": "<minutes>分钟|<minutes>秒|半(个|)小时|(一|两|三|四)(个|)小时|(两|三)个半小时|一刻钟|一个半小时",
    "minutes": _either((2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 45, 50)),
    "hour": "|".join([*map(spelled, (1, *range(3, 13))), "两"]),
    "digit_hour": "|".join(map(str, range(1, 13))),
    "minute": "|半|一刻|三刻|"
    + "|".join(f"{spelled(number)}分|{spelled(number)}" for number in range(15, 60, 5)),
    "clock": "2*<hour>点<minute>|<hour>点(钟|)|<digit_hour>点(半|30|15|45|20|)|<digit_hour>:(15|30|45|20)",
    "time": "3*(早上|上午|下午|晚上|中午|凌晨|傍晚)<clock>|<clock>|(中午|下午|早上|傍晚)",
    "date": "2*(今天|明天|后天|大后天)|(这|下|)(周|星期|礼拜)(一|二|三|四|五|六|日|天)|(这个|下个|)周末"
    "|2*<date_in_month>|<day>号|国庆节|元旦|中秋节|春节|端午节|下个月<day>号",
    "date_in_month": "("
    + "|".join(f"{month}月{day}" for month in range(1, 13) for day in range(1, 29, 3))
    + ")(号|日)"
    "|("
    + "|".join(f"{spelled(month)}月{spelled(day)}" for month in range(1, 13) for day in range(2, 30, 3))
    + ")(号|日)",
    "day": _either(range(1, 31)),
    # Car
    "fore": "主驾|副驾|驾驶位|副驾驶|左后|右后|后排|前排|后座|左边|右边",
    "seat_position": "2*<fore>|后排左边|后排右边|第二排|第三排|全车",
    "window_part": "天窗|车窗|窗户|遮阳帘|全部车窗|<fore>(的|)(车窗|窗户|玻璃)|尾门|后备箱",
    "climate_mode": "制冷|制热|除雾|内循环|外循环|自动模式|座椅加热|座椅通风|吹脚|吹脸|前挡除霜|后窗加热|方向盘加热|空气净化|节能模式",
    "gauge": "油量|电量|续航|胎压|(左前轮|右前轮|左后轮|右后轮)胎压|水温|机油|玻璃水|防冻液|电池温度|油耗|里程",
    "energy": "油量|电量|续航|油|电",
    "vehicle_part": "(左前轮|右前轮|左后轮|右后轮|)(胎压|轮胎)|机油|玻璃水|刹车片|刹车油|电池|发动机"
    "|空调滤芯|变速箱|大灯|雨刷|防冻液|火花塞",
    "weather_condition": "下雨|下雪|刮风|刮大风|起雾|打雷|降温|下暴雨|有雾霾|下冰雹|出太阳|升温|结冰",
    # Free text
    "errand": "去<poi>(开会|取快递|接人|吃饭|)|给<contact>(打电话|送文件|回消息|过生日)|买(牛奶|菜|水果|药|花|机票|车票)|接(孩子|<relation>|<contact>)"
    "|交(电费|房租|水费|停车费|保险)|吃药|(给车|)(加油|充电|洗车|做保养)|开(会|周会|家长会)|(看|去看)(牙医|电影|<relation>)|还信用卡"
    "|给<relation>(打电话|买花|买蛋糕|过生日)|订<city>的(酒店|机票)|听<singer>的演唱会|取(蛋糕|快递|衣服)|去<city>出差|带上(文件|雨伞|身份证)",
    "reminder_text": "<errand>|<errand>|<errand>|到<road><errand>|和<contact>(开会|吃饭|打球|见面)",
    "sentence": "我(快|马上|已经)到(了|<poi>了|<road>了|家了|楼下了)|我在<road>堵(车|)着呢|(路上|<road>)(有点堵|特别堵)|晚(点|十分钟|二十分钟|5分钟|半小时)到"
    "|(<time>|<date>|<date><time>)(在<poi>见|一起吃饭|去<poi>|开会)|(今晚|<date>)不(回家|加班|回去)(吃饭|了|)|别等我了|帮我(拿|取|买)(个快递|点水果|一下文件)"
    "|我到了给你打电话|(记得|别忘了)(<errand>)|听听<singer>的新歌|那首<song>(真|太|特别)好听|你到哪(儿|)了|生日快乐|<city>(今天|明天)下雨|记得带伞"
    "|(开车|路上)(慢点|小心|注意安全)|把(地址|电话|位置|照片)发给我|导航(说|显示)还要<duration>|我先去<poi>(再过来|接<relation>|)|空调(坏了|别开太低)|(我有点困|挑个地方吃饭|陪孩子写作业|帮我捎句话|你规划一下路线|外面灰好大|地铁上好挤|味道不错|你坐一下|桩都占满了|临时有事|别怕)",
    "message_text": "4*<sentence>|<sentence>，<sentence>|<sentence>(啊|哈|呢)",
}

OPEN_RULES = frozenset(
    {
        "person",
        "band",
        "poi",
        "local",
        "contact",
        "singer",
        "song",
        "album",
        "playlist",
        "place",
        "stop",
        "road",
        "city",
        "station",
    }
    | {"message_text", "reminder_text", "genre", "poi_type", "route_preference"}
)
