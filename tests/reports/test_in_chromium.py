"""The page in a real browser: it runs, fits phone and desktop, and obeys the keyboard."""

import pytest
from chromium_pipe import Page, find_chromium
from test_page import hostile_page  # noqa: F401  a fixture

from toolwise.reports import write_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium on PATH")

ROOT = "document.documentElement.dataset"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = Page(find_chromium(), tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def report(made_up_run, tmp_path_factory):
    return write_report(made_up_run, tmp_path_factory.mktemp("page") / "report.html")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_runs_and_fits(browser, report, tmp_path, width, dark):
    browser.open(report, width, dark=dark)
    assert browser.run("innerWidth") == width
    assert browser.run(f"{ROOT}.overflow") == "0"
    assert browser.run(f"{ROOT}.faults") == "0"
    assert int(browser.run(f"{ROOT}.rollouts")) > 50
    assert browser.run("document.querySelectorAll('.reader .tokens span').length") > 10
    assert browser.complaints() == []
    light = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert light is not dark
    browser.picture(tmp_path / "page.png", "#boundary")
    assert (tmp_path / "page.png").stat().st_size > 5000


def test_no_text_is_wider_than_its_box(browser, report):
    browser.open(report, 390)
    boxes = "[...document.querySelectorAll('td, th, .card, .panel, .chip')]"
    wide = f"{boxes}.filter(n => n.clientWidth && n.scrollWidth > n.clientWidth + 1).length"
    assert browser.run(wide) == 0


def test_filters_narrow_the_list(browser, report):
    browser.open(report, 1280)
    pick = "document.querySelectorAll('.filters select')"
    label = f"[...{pick}].find(s => s.parentNode.firstChild.textContent === 'Answer')"
    browser.run(
        f"(() => {{ const s = {label}; s.value = 'wrong'; s.dispatchEvent(new Event('change')); }})()"
    )
    marks = browser.run("[...document.querySelectorAll('.list .title + span')].map(n => n.textContent[0])")
    assert marks
    assert set(marks) == {"✗"}
    assert browser.run("document.querySelector('.reader .chip').textContent") == "wrong"
    find = (
        "(() => { const i = document.querySelector('.filters input'); i.value = '%s';"
        " i.dispatchEvent(new Event('input')); })()"
    )
    browser.run(find % "no such words")
    assert browser.run("document.querySelector('.count').textContent").startswith("0 of ")
    assert "No rollout fits" in browser.run("document.querySelector('.reader').textContent")


def test_the_keyboard_goes_through_the_list(browser, report):
    browser.open(report, 1280)
    browser.run("document.querySelector('.list button').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    buttons = "[...document.querySelectorAll('.list button')]"
    current = f"{buttons}.findIndex(button => button.getAttribute('aria-current') === 'true')"
    assert browser.run(current) == 2
    assert browser.run("document.activeElement === document.querySelectorAll('.list button')[2]")


def test_a_question_is_compared_across_policies(browser, report):
    browser.open(report, 1280)
    pick = "[...document.querySelectorAll('.filters select')]"
    label = f"{pick}.find(s => s.parentNode.firstChild.textContent === 'Split')"
    browser.run(f"(() => {{ const s = {label}; s.value = 'eval'; s.dispatchEvent(new Event('change')); }})()")
    title = browser.run("document.querySelector('.reader h3').textContent")
    same = "[...document.querySelectorAll('.siblings button')].filter(b => b.textContent.startsWith('otc'))"
    assert browser.run(f"{same}.length") == 1
    browser.run(f"{same}[0].click()")
    assert browser.run("document.querySelector('.reader h3').textContent") == title
    assert browser.run("document.activeElement.className") == "reader"


def test_tokens_say_what_pulls_on_them(browser, report):
    browser.open(report, 1280)
    titles = browser.run("[...document.querySelectorAll('.reader .trained')].map(n => n.title)")
    assert all(
        "advantage" in title and "logprob" in title and title.startswith("trained") for title in titles
    )
    tokens = "[...document.querySelectorAll('.reader .tokens span')]"
    shaded = browser.run(f"{tokens}.filter(n => n.style.backgroundColor).map(n => n.className)")
    assert set(shaded) == {"trained"}


def test_every_control_and_picture_has_a_name(browser, report):
    browser.open(report, 1280)
    controls = "[...document.querySelectorAll('select, input, button, svg')]"
    named = "n.getAttribute('aria-label') || n.textContent.trim() || n.labels?.length"
    nameless = f"{controls}.filter(n => !({named})).length"
    assert browser.run(nameless) == 0


def test_a_curve_tells_its_values_under_the_pointer(browser, report):
    browser.open(report, 1280)
    browser.run("document.querySelector('svg.curve').scrollIntoView({behavior: 'instant', block: 'center'})")
    box = browser.run(
        "(() => { const b = document.querySelector('svg.curve').getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    assert browser.run("document.querySelector('.readout').textContent").startswith("step ")


def test_hostile_text_stays_text(browser, hostile_page):  # noqa: F811
    browser.open(hostile_page, 390)
    assert browser.run(f"{ROOT}.owned") is None
    assert browser.run("document.images.length") == 0
    assert browser.run(f"{ROOT}.faults") == "0"
    assert browser.run(f"{ROOT}.overflow") == "0"
    assert browser.complaints() == []
    assert "dataset.owned" in browser.run("document.querySelector('.reader').textContent")
