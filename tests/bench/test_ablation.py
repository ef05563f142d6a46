"""What each mechanism is worth: the settings that are compared, and how they are judged."""

from damond.bench import ablation
from damond.bench.setting import Setting


def test_each_mechanism_is_there_alone() -> None:
    """No two settings are the same; the kernel's defaults and what is shipped are the points of departure."""
    named = dict(ablation.settings())
    assert named["kernel's defaults"] == Setting.kernel()
    assert named["shipped"] == Setting.shipped()
    assert len({str(each) for _, each in ablation.settings()}) == len(ablation.settings())


def test_a_setting_is_tried_on_everything() -> None:
    """Quick, two footprints are judged; every column that people see has a value or says that it has none."""
    shipped = ablation.judge(Setting.shipped(), 3, quick=True)
    assert shipped["5 TB"] >= 0.95
    assert "10 GB" not in shipped
    shown = [each.text({"setting": "shipped", **shipped}) for each in ablation.COLUMNS]
    assert [each for each in shown if each == "-"] == ["-", "-"]
    assert min(shipped["shapes"], shipped["grown_shapes"]) >= 0.9
