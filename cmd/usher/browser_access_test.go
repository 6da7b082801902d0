package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"

	"usher/cmd/usher/page"
)

// phases are those of a thread; each has its colours.
var phases = []string{"bot", "waiting", "human", "solved"}

// unfold shows what is hidden until it is asked for.
const unfold = `document.querySelectorAll('details').forEach(el => el.open = true);
	document.querySelector('#help').showModal();
	document.querySelectorAll('.panel, #lost, #newest, #stop').forEach(el => el.hidden = false)`

// Everything that can be operated has a name, and no two elements the same id.
func TestBrowserNames(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.still(t, newStill(), wide)
	b.click("#folders .row", "Ann Lee")
	b.shows("#inbox-lines", "hello")
	for _, modal := range []bool{false, true} {
		if modal {
			eval[any](b, unfold)
		}
		operated := 0
		for _, n := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
			if n.Ignored || n.Role == nil {
				continue
			}
			role := axText(n.Role)
			if !slices.Contains([]string{"button", "link", "textbox", "combobox", "checkbox", "dialog", "log", "navigation", "region", "DisclosureTriangle"}, role) {
				continue
			}
			operated++
			if axText(n.Name) == "" {
				t.Errorf("a %s has no name: node %d", role, n.BackendDOMNodeID)
			}
		}
		if want := map[bool]int{false: 40, true: 2}[modal]; operated < want {
			t.Errorf("the accessibility tree has %d things with names, want %d at least", operated, want)
		}
	}
	if twice := eval[[]string](b, `[...document.querySelectorAll('[id]')].map(el => el.id).filter((id, i, all) => all.indexOf(id) !== i)`); len(twice) > 0 {
		t.Errorf("ids that stand twice: %q", twice)
	}
	if lost := eval[[]string](b, `[...document.querySelectorAll('[aria-labelledby]')].map(el => el.getAttribute('aria-labelledby')).filter(id => !document.getElementById(id))`); len(lost) > 0 {
		t.Errorf("labels that are nowhere: %q", lost)
	}
}

// axText is a text of the accessibility tree.
func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// faint lists the texts on the page whose contrast is below WCAG's AA: 4.5, or 3
// for large ones.
const faint = `(() => {
	const parse = (c) => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return c.startsWith('color(') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a]; };
	const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
	const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ground = (el) => {
		if (!el) return [255, 255, 255, 1];
		const c = parse(getComputedStyle(el).backgroundColor);
		return c[3] === 1 ? c : over(c, ground(el.parentElement));
	};
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const out = []; let seen = 0;
	for (let n = walker.nextNode(); n; n = walker.nextNode()) {
		const el = n.parentElement;
		if (!n.data.trim() || !el.checkVisibility({ visibilityProperty: true }) || el.closest('.sr, :disabled, symbol')) continue;
		const style = getComputedStyle(el), behind = ground(el), px = parseFloat(style.fontSize);
		if (px === 0) continue;
		const [a, b] = [light(over(parse(style.color), behind)), light(behind)].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		seen++;
		if (ratio < (px >= 24 || (px >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5)) out.push(el.className + ' ' + n.data.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
	}
	return [String(seen), ...out];
})()`

// Every text can be read, in both themes, whoever has the thread.
func TestBrowserContrast(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	s.tell(page.Entry{At: noon, Kind: "call", Title: "a bad one", Tone: "bad"}, page.Entry{At: noon, Kind: "decision", Title: "a good one", Tone: "good", Cause: "returned"})
	for _, dark := range []bool{false, true} {
		b := br.still(t, s, wide.in(dark))
		b.click("#folders .row", "Ann Lee")
		for i, phase := range phases {
			s.set(func(st *page.State) {
				st.Customers[0].Thread.Phase = phase
				st.Situations[0].Verdict, st.Playing = []string{"held", "broken", "", ""}[i], []string{"", "", "killed", ""}[i]
				st.Up = i != 3
			})
			b.wait("document.body.dataset.phase === " + js(phase))
			if i == 3 {
				eval[any](b, unfold)
			}
			got := eval[[]string](b, faint)
			if len(got[0]) < 2 { // fewer than ten
				t.Errorf("only %s texts were looked at", got[0])
			}
			for _, text := range got[1:] {
				t.Errorf("dark %t, %s: too faint: %s", dark, phase, text)
			}
		}
	}
}

// On a narrow screen, and at twice the size, nothing stands beside the page, and
// each part can be reached.
func TestBrowserNarrow(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	for _, on := range []screen{narrow, {width: 320, height: 640}, {width: 720, height: 450}, {width: 1180, height: 700}} {
		b := br.still(t, s, on)
		for _, part := range []string{"phone", "usher", "inbox"} {
			if on.width < 1180 {
				b.click(".views button", map[string]string{"phone": "Phone", "usher": "Usher", "inbox": "Inbox"}[part])
			}
			b.wait(fmt.Sprintf("document.querySelector('#%s').checkVisibility()", part))
			if over := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%d px wide, %s: %d px stand beside the screen", on.width, part, over)
			}
		}
	}
}

// Who has no mouse can do all of it.
func TestBrowserKeyboard(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	b := br.still(t, s, wide)
	seen := map[string]bool{}
	for range 90 { // more than there are
		b.press("Tab")
		if at := eval[string](b, `(el => !el || el === document.body ? '' : getComputedStyle(el).outlineStyle === 'none' ? 'unseen ' + el.outerHTML : el.id || el.innerText || el.ariaLabel)(document.activeElement)`); at != "" {
			seen[at] = true
			if strings.HasPrefix(at, "unseen") {
				t.Errorf("the focus cannot be seen: %s", at)
			}
		}
	}
	for _, want := range []string{"up-switch", "done-is", "reset", "theme", "help-open", "play-killed", "customer-add", "phone-thread", "menu-open", "more-open", "says", "says-send", "only", "timeline-scroll", "folders", "hint-close", "Back to bot"} {
		if !seen[want] {
			t.Errorf("%s cannot be reached with the Tab key", want)
		}
	}
	eval[any](b, `document.activeElement.blur()`)
	b.press("?")
	b.wait(`document.querySelector('#help').open`)
	b.press("Escape")
	b.wait(`!document.querySelector('#help').open`)
	b.press("c")
	b.wait(`document.activeElement.id === 'says'`)
	b.press("c", "?", "Escape") // keys are text in a text field
	b.wait(`document.querySelector('#says').value === 'c?' && document.activeElement === document.body && !document.querySelector('#help').open`)
	b.press("a")
	b.wait(`document.activeElement.id === 'agent'`)
	b.writes("#agent", "Hi, this is Kim.")
	b.wait(`document.querySelector('#agent').value === ''`)
	b.press("Escape", "n")
	b.shows("#phone-whose", "Omar")
	b.press("d")
	b.wait(`document.documentElement.dataset.theme === 'dark'`)
	b.click("#customers button", "Ann")
	eval[any](b, `document.querySelector('#menu-open').focus()`)
	b.press("Enter")
	b.wait(`document.activeElement.innerText === 'Talk to a human'`)
	b.press("Escape")
	b.wait(`document.querySelector('#menu').hidden && document.activeElement.id === 'menu-open'`)
	eval[any](b, `document.querySelector('#shortcuts').click()`)
	b.press("?")
	if eval[bool](b, `document.querySelector('#help').open`) {
		t.Error("shortcuts act although they are switched off")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acts) != 2 || s.acts[0].Do != page.DoOpen || s.acts[1].Text != "Hi, this is Kim." {
		t.Errorf("the page did %v, want that an agent opened the thread and replied", s.acts)
	}
}
