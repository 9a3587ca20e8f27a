"""Parts that the tests of curation share: sentences of reliability documents, and inputs made of them."""

import random
import re
from collections.abc import Iterable

from kgkit.corpora.curation import CuratedInput

NOTHING = re.compile(r"(?!)")

DOCUMENT = (
    "Vibration of the pump casing rises when a bearing is damaged, because the rolling elements strike the defect"
    " at a fixed rate. A technician compares the spectrum with the baseline that was taken after the last overhaul,"
    " and looks for lines at the passing frequency of the outer race. If the amplitude doubles within a week, the"
    " bearing is replaced at the next stop; otherwise the reading is repeated every two days."
)
OTHER = (
    "Oil debris tells of gear wear long before the noise of the gearbox changes. Particles above ten micrometres are"
    " counted in a sample of the return line, and the trend of three samples decides whether the oil is filtered or the"
    " gear is inspected with an endoscope. Water in the oil makes the count unreliable, so that it is measured too."
)
GERMAN = (
    "Die Schwingung des Pumpengehäuses nimmt zu, wenn ein Lager beschädigt ist, weil die Wälzkörper in fester Folge"
    " über den Schaden rollen. Ein Techniker vergleicht das Spektrum mit der Messung nach der letzten Überholung und"
    " sucht nach Linien bei der Überrollfrequenz des Außenrings."
)
FRENCH = (
    "La vibration du carter de la pompe augmente lorsque le roulement est endommagé, car les éléments roulants frappent"
    " le défaut à intervalles réguliers. Le technicien compare le spectre avec celui de la dernière révision et cherche"
    " des raies à la fréquence de passage de la bague extérieure."
)
CHINESE = (
    "当轴承损坏时,泵壳的振动会增大,因为滚动体会以固定的频率撞击缺陷。技术人员将频谱与上次大修后的基线进行比较,"
    "并寻找外圈通过频率处的谱线。如果振幅在一周内翻倍,则在下次停机时更换轴承。"
)
JAPANESE = (
    "軸受が損傷するとポンプケーシングの振動が大きくなります。転動体が一定の周期で欠陥に当たるためです。技術者は前回の"
    "オーバーホール後の基準とスペクトルを比較し、外輪の通過周波数の線を探します。"
)
GIBBERISH = " ".join(
    random.Random(5).choice(["xorv", "plimt", "quabble", "zund", "greft", "ivlo", "trenk", "oosp"])
    for _ in range(60)
)
TECHNICAL = (
    "P-101A tripped at 14:07 with 7.1 mm/s RMS on 1X and 2.4 mm/s on 2X; ISO 10816-3 zone D begins at 7.1 mm/s. Bearing"
    " 6205-2RS (SKF) reached 96 °C, alarm TAH-4711 is at 90 °C. Seal plan 53B held 12.5 bar(g), flow FI-22 fell from 84"
    " to 61 m3/h. Work order 40017733: replace 6205-2RS by 6305 C3, align to 0.05 mm, and check NPSHr against NPSHa."
)
REFUSAL = "I'm sorry, but I cannot tell which sensors are of use for that. Please ask the maker of the equipment."


def inputs(texts: Iterable[str], *, group: str = "kd_base") -> list[CuratedInput]:
    """Texts as passages t0000, t0001, ..."""
    return [
        CuratedInput(id=f"t{number:04}", kind="asset_sensor", group=group, text=text)
        for number, text in enumerate(texts)
    ]


def replaced(text: str, count: int, seed: int = 0) -> str:
    """The text with `count` of its words replaced."""
    words = text.split(" ")
    rng = random.Random(seed)
    for place in rng.sample(range(len(words)), count):
        words[place] = f"other{place}"
    return " ".join(words)
