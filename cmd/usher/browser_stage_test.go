package main

import (
	"fmt"
	"os"
	"testing"

	"usher/cmd/usher/page"
)

// demo opens the demo's page.
func (br browser) demo(t *testing.T, on screen) *tab {
	t.Helper()
	h, err := page.New(newTheatre(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	return br.open(t, h, on)
}

// What the headline says.
const (
	botHas     = "The bot has Ann’s thread"
	annWaits   = "Ann waits for a person"
	peopleHave = "People have Ann’s thread"
)

// bots is how many messages of the bot stand on the phone.
const bots = `document.querySelectorAll('#phone-lines [data-who=bot]').length`

// asks lets Ann greet the bot and ask for a person.
func (b *tab) asks() {
	b.Helper()
	b.writes("#says", "hello")
	b.click("#chips button", "Talk to a human")
	b.shows("#headline", annWaits)
	b.shows("#phone-lines", "I'm passing you to a person")
}

// answers lets an agent open Ann's thread and answer it.
func (b *tab) answers(text string) {
	b.Helper()
	b.click("#folders .row", "Ann Lee")
	b.writes("#agent", text)
	b.shows("#headline", peopleHave)
	b.wait(fmt.Sprintf("[...document.querySelectorAll('#phone-lines [data-who=human] .body')].some(el => el.innerText === %s)", js(text)))
}

// silent tells that Usher heard a message on standby, and said nothing.
func (b *tab) silent(text string) {
	b.Helper()
	before := eval[int](b, bots)
	heard := `[...document.querySelectorAll('#timeline [data-kind=decision]')].filter(el => el.innerText.includes('on standby')).length`
	n := eval[int](b, heard)
	b.writes("#says", text)
	b.wait(fmt.Sprintf("%s > %d", heard, n))
	if after := eval[int](b, bots); after != before {
		b.Errorf("the bot said %d messages while people had the thread", after-before)
	}
}

func TestBrowserThereAndBack(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.shows("#hint", "Get Started")
	b.writes("#says", "hello")
	b.shows("#phone-lines", "automated assistant")
	b.shows("#hint", "Talk to a human")
	b.shows("#done-list", "Ann Lee")
	b.click("#chips button", "Talk to a human")
	b.shows("#headline", annWaits)
	b.wait(`!document.querySelector('#chips').checkVisibility()`) // they vanish with the next message
	b.shows("#ring", "Ann Lee waits for a person")
	b.shows("#main-list .badge", "new")
	b.shows("#owner", "Page Inbox")
	b.shows("#limit", "11 h 59 min")
	b.answers("Hi Ann, this is Kim.")
	b.wait(`document.querySelector('#ring').innerText === '' && document.querySelector('#main-list .badge').hidden`)
	b.silent("Is my order on its way?")
	b.shows("#inbox-lines", "Is my order on its way?")
	b.click("#phone-lines button", "Back to bot")
	b.shows("#headline", botHas)
	b.shows("#phone-lines", "You're back with the automated assistant")
	b.shows("#done-list", "Ann Lee")
	b.shows("#hint", "try to break it")
	b.wait(`document.querySelectorAll('#tally [data-tone=good]').length === 3`)
	// Each kind of entry is on the time line, and unfolds to what was on the wire.
	b.wait(`['act', 'webhook', 'decision', 'call'].every(kind => document.querySelector('#timeline [data-kind=' + kind + ']'))`)
	b.click("#timeline [data-kind=call] summary", "thread_control: pass")
	b.shows("#timeline details[open] pre", `"thread_control"`)
}

func TestBrowserDone(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.asks()
	b.answers("Hi Ann, this is Kim.")
	n := eval[int](b, bots)
	b.click("#to-done", "Move to done")
	b.shows("#headline", botHas)
	b.shows("#done-list", "Ann Lee")
	b.wait(`document.querySelector('#to-main').checkVisibility()`)
	if after := eval[int](b, bots); after != n {
		t.Errorf("the bot spoke first: %d messages more", after-n)
	}
	b.writes("#says", "what are your opening hours?")
	b.shows("#phone-lines", "This is the automated assistant again")
	b.shows("#phone-lines", "Monday to Friday")
}

func TestBrowserTimeLimit(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.asks()
	b.click("[data-forward]", "+12 h")
	b.shows("#headline", botHas)
	b.shows("#ahead", "+12 h")
	b.shows("#why", "agent wrote for 12h")
}

func TestBrowserAgentFirst(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.writes("#says", "hello")
	b.shows("#phone-lines", "automated assistant")
	b.click("#done-list .row", "Ann Lee")
	b.shows("#agent-note", "A reply takes it")
	b.writes("#agent", "Hello Ann, Kim here.")
	b.shows("#headline", peopleHave)
	b.shows("#control", "The inbox has control")
	b.silent("what are your opening hours?")
}

func TestBrowserKilled(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.click("#up-switch", "Kill")
	b.shows("#why", "Usher is dead")
	b.writes("#says", "hello")
	b.wait(`document.querySelector('#timeline [data-kind=webhook][data-tone=bad]')`)
	b.click("#up-switch", "Restart")
	b.shows("#phone-lines", "automated assistant")
	b.click("#graph-switch", "Take down")
	b.shows("#graph", "Graph is down")
	b.click("#graph-switch", "Bring up")
	b.shows("#graph", "Graph answers")
	if n := eval[int](b, bots); n != 1 {
		t.Errorf("she was answered %d times, want once", n)
	}
}

func TestBrowserCustomers(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.click("#customer-add", "")
	b.writes("#customer-name", "Mia <b>Wong</b>")
	b.shows("#phone-whose", "Mia <b>Wong</b>")
	b.click("#get-started", "")
	b.shows("#phone-lines", "automated assistant")
	b.click("#more-open", "")
	b.click("[data-sends]", "Thumbs up")
	b.shows("#phone-lines", "I can only read text")
	b.click("#more-open", "")
	b.click("#reactions button", "love")
	b.shows("#phone-lines", "❤")
	b.click("#menu-open", "")
	b.click("#menu-items button", "Talk to a human")
	b.shows("#headline", "Mia waits for a person")
	b.click("#reset", "Start again")
	b.shows("#headline", botHas)
	b.wait(`document.querySelectorAll('#customers li').length === 3 && !document.querySelector('#timeline').innerText.includes('Mia')`)
}

func TestBrowserSituationsHold(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	ids := eval[[]string](b, `[...document.querySelectorAll('.situation')].map(el => el.id)`)
	if len(ids) != 6 {
		t.Errorf("there are the situations %q, want six", ids)
	}
	for _, id := range ids {
		b.click("#"+id, "")
		b.wait(fmt.Sprintf("['held', 'broken'].includes(document.getElementById(%s).dataset.how)", js(id)))
		if how := eval[string](b, `document.querySelector('#caption').innerText`); !eval[bool](b, fmt.Sprintf("document.getElementById(%s).dataset.how === 'held'", js(id))) {
			t.Errorf("%s: %s", id, how)
		}
	}
	b.wait(`document.querySelectorAll('#tally [data-tone=good]').length === 3`)
	b.picture("situations")
}

// tabTo presses the Tab key until the focus is on what has the text.
func (b *tab) tabTo(text string) {
	b.Helper()
	for range 120 { // more than there are
		b.press("Tab")
		if eval[bool](b, fmt.Sprintf("document.activeElement.matches('button') && document.activeElement.innerText.includes(%s)", js(text))) {
			return
		}
	}
	b.Fatalf("the Tab key does not lead to %q", text)
}

func TestBrowserKeysAlone(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	b := br.demo(t, wide)
	b.tabTo("Get Started")
	b.press("Enter")
	b.shows("#chips", "Talk to a human")
	b.tabTo("Talk to a human")
	b.press("Enter")
	b.shows("#headline", annWaits)
	b.wait(`document.activeElement.id === 'says'`) // what had the focus has gone
	b.tabTo("Ann Lee")
	for eval[bool](b, `document.activeElement.className !== 'row'`) { // her phone comes first
		b.tabTo("Ann Lee")
	}
	b.press("Enter")
	b.shows("#with", "Ann Lee")
	b.press("a")
	b.writes("#agent", "Hi Ann, this is Kim.")
	b.shows("#headline", peopleHave)
	b.press("Escape")
	b.tabTo("Move to done")
	b.press("Enter")
	b.shows("#headline", botHas)
	b.wait(`document.activeElement.id === 'to-main'`)
}

// TestBrowserPictures takes the pictures of the documents.
func TestBrowserPictures(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	if os.Getenv(picturesIn) == "" { // nothing else is tested here
		t.Skip("no pictures are wanted: " + picturesIn + " is not set")
	}
	for _, dark := range []bool{false, true} {
		theme := map[bool]string{false: "light", true: "dark"}[dark]
		for _, on := range []screen{wide.in(dark), narrow.in(dark)} {
			b := br.demo(t, on)
			b.click("#customers button", "Omar")
			b.writes("#says", "مرحبا")
			b.shows("#phone-lines", "automated assistant")
			b.click("#customers button", "Ann")
			b.asks()
			b.wait(`document.querySelector('#main-list .badge')?.dataset.n`)
			eval[any](b, `document.activeElement.blur(), scrollTo(0, 0)`)
			if on.width == narrow.width {
				b.picture("demo-narrow-" + theme)
				continue
			}
			b.picture("demo-" + theme)
			if dark {
				continue
			}
			b.answers("Hi Ann, this is Kim. What can I do for you?")
			b.silent("Is my order on its way? I hate talking to a bot.")
			b.writes("#agent", "It left this morning, and is with you tomorrow.")
			b.shows("#phone-lines", "It left this morning")
			eval[any](b, `document.activeElement.blur()`)
			b.picture("demo-human")
		}
	}
}
