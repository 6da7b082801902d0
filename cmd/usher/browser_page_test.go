package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/cmd/usher/page"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What strangers write is never read as HTML, nor followed as a script.
func TestBrowserHostile(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	const evil = `<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>`
	const turned = "\u202egnp.exe\u202c \u2066\u2067end"
	s := newStill()
	s.set(func(st *page.State) {
		st.Page.Name = evil
		c := &st.Customers[0]
		c.Name, c.Locale = evil, evil
		c.Thread.Why, c.Thread.OwnerName, c.Thread.Cause = evil, evil, evil
		c.Phone.Menu = []simulator.Button{{Title: evil, Payload: "x"}, {Title: "Script", URL: "javascript:document.title='pwned'"}}
		c.Phone.Lines = append(c.Phone.Lines,
			simulator.Line{At: noon, MID: "e1", From: simulator.FromCustomer, Text: evil},
			simulator.Line{At: noon, MID: "e2", From: simulator.FromCustomer, Text: turned, Reaction: evil},
			simulator.Line{
				At: noon, MID: "e3", From: simulator.FromPage, App: stageApp, Text: evil, Persona: evil, ReplyTo: "e1",
				Buttons: []simulator.Button{
					{Title: "script", URL: "javascript:document.title='pwned'"}, {Title: "data", URL: "data:text/html,pwned"}, {Title: evil, URL: "https://example.com/"},
				},
				Cards: []simulator.Card{{Title: evil, Subtitle: evil, ImageURL: "https://example.com/x.png", URL: " java\nscript:alert(1)", Buttons: []simulator.Button{{Title: evil, Payload: evil}}}},
			},
			simulator.Line{
				At: noon, MID: "e4", From: simulator.FromPage, App: stageApp, Attachment: evil, URL: "javascript:alert(1)", Tappable: true,
				QuickReplies: []simulator.QuickReply{{Title: evil, ImageURL: "https://example.com/x.png"}},
			})
		st.Situations[0].Title, st.Situations[0].Verdict, st.Situations[0].Proof = evil, "held", evil
	})
	s.tell(page.Entry{At: noon, Kind: "decision", PSID: "7000000000000001", Title: evil, Cause: evil, JSON: json.RawMessage(`{"text":` + js(evil) + `}`)})
	b := br.still(t, s, wide)
	b.shows("#phone-lines", evil)
	b.click("#folders .row", evil)
	b.shows("#inbox-lines", evil)
	eval[any](b, `document.querySelectorAll('details').forEach(el => el.open = true)`)
	b.wait(`[...document.querySelectorAll('#timeline pre')].some(el => el.innerText.includes('onerror'))`)
	s.mu.Lock()
	s.refuse = evil
	s.mu.Unlock()
	b.writes("#says", "x")
	b.shows("#toasts", evil)
	if got := eval[string](b, `document.title`); got != "Usher demo" {
		t.Errorf("the title is %q: a script ran", got)
	}
	if n := eval[int](b, `document.querySelectorAll('img:not(.brand img), script:not(head script), iframe, [onerror], [style]:not(#baton)').length`); n != 0 {
		t.Errorf("%d elements were made of a text", n)
	}
	if got := eval[[]string](b, `[...document.links].filter(a => a.className !== 'skip').map(a => a.getAttribute('href') + ' ' + a.target + ' ' + a.rel)`); len(got) == 0 || slices.ContainsFunc(got, func(l string) bool { return l != "https://example.com/ _blank noopener noreferrer" }) {
		t.Errorf("the links are %q, want those to the web alone", got)
	}
	// An override ends with the element that it stands in.
	if got := eval[string](b, `[...document.querySelectorAll('#phone-lines .body')].find(el => el.textContent.includes('gnp')).textContent`); got != turned {
		t.Errorf("the turned text is %q, want %q", got, turned)
	}
	if got := eval[string](b, `getComputedStyle([...document.querySelectorAll('#phone-lines .body')].find(el => el.textContent.includes('gnp'))).unicodeBidi`); got != "isolate" && got != "plaintext" {
		t.Errorf("a text has unicode-bidi %s: it can turn what stands around it", got)
	}
}

// People are left alone while things happen: what they type, what they read, what
// they have unfolded, and where they are.
func TestBrowserLeftAlone(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	for range 40 {
		s.tell(page.Entry{At: noon, Kind: "call", PSID: "7000000000000001", Title: "POST messages → 200", JSON: json.RawMessage(`{"status":200}`)})
	}
	writes := func(id, text string) {
		s.set(func(st *page.State) {
			c := &st.Customers[0]
			c.Phone.Lines = append(c.Phone.Lines, simulator.Line{At: noon, MID: messenger.MessageID(id), From: simulator.FromCustomer, Text: text})
		})
	}
	for i := range 20 { // more than a phone shows at once
		writes(fmt.Sprint("l", i), "Hello?")
	}
	b := br.still(t, s, wide)
	b.wait(`document.querySelectorAll('#timeline li').length === 51`)
	b.click("#folders .row", "Ann Lee")
	b.types("#agent", "half a sent")
	b.scrolls("#timeline-scroll", 120)
	b.scrolls("#phone-thread", 10)
	eval[any](b, `document.querySelectorAll('#timeline details')[10].open = true`)
	b.wait(`document.querySelector('#timeline pre')`)
	const where = `document.querySelector('#timeline-scroll').scrollTop + ' ' + document.querySelector('#phone-thread').scrollTop + ' ' + document.activeElement.id + ' ' + document.querySelector('#agent').value + ' ' + document.querySelectorAll('details[open]').length`
	before := eval[string](b, where)
	for i := range 30 {
		s.tell(page.Entry{At: noon, Kind: "webhook", Title: "message on standby → 200"})
		writes(fmt.Sprint("n", i), "Is anybody there?")
		s.set(func(st *page.State) { st.Tally.Events = 100 + i })
	}
	b.shows("#tally", "129")
	b.wait(`document.querySelectorAll('#timeline li').length === 81`)
	if after := eval[string](b, where); after != before || !strings.HasSuffix(before, "agent half a sent 1") {
		t.Errorf("before: %q, after: %q; want the same place, focus, text, and entry unfolded", before, after)
	}
	b.shows("#newest", "30 newer")
	eval[any](b, `document.querySelector('#phone-lines button').focus({ preventScroll: true })`)
	s.set(func(st *page.State) {
		lines := slices.Clone(st.Customers[0].Phone.Lines) // the old ones may be being written out
		lines[3].Reaction = "love"
		st.Customers[0].Phone.Lines, st.Tally.Events = lines, 130
	})
	b.shows("#tally", "130")
	if at := eval[string](b, `document.activeElement.innerText`); at != "Back to bot" {
		t.Errorf("the focus went from a button of a message to %q", at)
	}
	const atEnd = `(el => el.scrollHeight - el.scrollTop - el.clientHeight < 2)`
	b.wait(atEnd + `(document.querySelector('#inbox-thread'))`) // who reads the end stays there
	b.click("#newest", "")
	b.wait(`document.querySelector('#newest').hidden && ` + atEnd + `(document.querySelector('#timeline-scroll'))`)
	// Whoever unfolds the newest entry reads it.
	b.drawn()
	eval[any](b, `[...document.querySelectorAll('#timeline details')].at(-1).open = true`)
	b.wait(`document.querySelectorAll('#timeline pre').length === 2`)
	s.tell(page.Entry{At: noon, Kind: "webhook", Title: "and one more"})
	b.shows("#newest", "1 newer")
}

// The page keeps the newest 500 entries, and what is read does not move when the
// oldest go.
func TestBrowserBounded(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	told := len(s.entries)
	fill := func(n int) {
		entries := make([]page.Entry, n)
		for i := range entries {
			told++
			entries[i] = page.Entry{At: noon, Kind: "webhook", Title: fmt.Sprintf("message %d", told)}
		}
		s.tell(entries...)
	}
	fill(700)
	b := br.still(t, s, wide)
	b.wait(`document.querySelector('#timeline')?.lastElementChild?.innerText.includes('message 711')`)
	if n := eval[int](b, `document.querySelectorAll('#timeline li').length`); n != 500 {
		t.Errorf("%d entries are on the page, want the newest 500", n)
	}
	const read = `(el => document.elementsFromPoint(el.getBoundingClientRect().x + 200, el.getBoundingClientRect().y + 40).find(e => e.matches('.entry'))?.querySelector('.title').innerText)(document.querySelector('#timeline-scroll'))`
	b.scrolls("#timeline-scroll", 3000)
	b.wait(read)
	before := eval[string](b, read)
	fill(30)
	b.shows("#newest", "30 newer")
	if after := eval[string](b, read); after != before || before == "" {
		t.Errorf("%q is read, and then %q", before, after)
	}
	s.set(func(st *page.State) { st.First = int64(len(s.entries)) - 4 }) // another stage
	b.wait(`document.querySelectorAll('#timeline li').length === 5`)
}

func TestBrowserFilters(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	s.tell(page.Entry{At: noon, Kind: "webhook", PSID: "7000000000000002", Title: "Omar's"})
	b := br.still(t, s, wide)
	shown := `[...document.querySelectorAll('#timeline li')].filter(el => el.checkVisibility()).length`
	b.wait(shown + ` === 12`)
	b.click(".filter", "Webhooks")
	b.wait(shown + ` === 7`)
	s.tell(page.Entry{At: noon, Kind: "webhook", Title: "another"}, page.Entry{At: noon, Kind: "world", Title: "Usher is killed"})
	b.wait(shown + ` === 8`)
	b.click(".filter", "Webhooks")
	b.wait(shown + ` === 14`)
	b.click(".filter", "Only Ann")
	b.wait(shown + ` === 13`)
	b.click("#customers button", "Omar")
	b.wait(shown + ` === 4`) // his own, and what concerns all
	b.shows("#only", "Only Omar")
}

// Media, cards, reactions, other apps, personas, what is typed, and Arabic.
func TestBrowserRare(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	s.set(func(st *page.State) {
		c := &st.Customers[0]
		c.Phone.Typing = true
		c.Phone.Lines = []simulator.Line{
			{At: noon.Add(-26 * time.Hour), MID: "r1", From: simulator.FromCustomer, Attachment: "image"},
			{At: noon, MID: "r2", From: simulator.FromCustomer, Attachment: "sticker", Seen: true},
			{At: noon, MID: "r3", From: simulator.FromPage, App: "413038776280800", Text: "An offer", Reaction: "love"},
			{At: noon, MID: "r4", From: simulator.FromPage, App: messenger.PageInbox, Persona: "Kim", Text: "I am Kim", ReplyTo: "r1"},
			{At: noon, MID: "r5", From: simulator.FromPage, App: stageApp, Cards: []simulator.Card{
				{Title: "Bicycle", Subtitle: "Red, 3 gears", ImageURL: "https://cdn.invalid/b.png", Buttons: []simulator.Button{{Title: "Buy", Payload: "buy"}}},
				{Title: "Lamp", URL: "https://example.com/lamp"},
			}},
			{At: noon, MID: "r6", From: simulator.FromPage, App: stageApp, Attachment: "video"},
		}
		st.Customers[2].Phone.IceBreakers = []string{"When are you open?"}
	})
	b := br.still(t, s, wide)
	for _, want := range []string{"Photo", "Another app", "❤", "Kim", "Bicycle", "Red, 3 gears", "Lamp", "Video", "Seen", "Fri 20 Nov, 10:00"} {
		b.shows("#phone-lines", want)
	}
	b.wait(`document.querySelector('#typing').checkVisibility()`)
	b.click("#phone-lines button", "Buy")
	b.click("#customers button", "Zoë")
	b.shows("#greeting", "Ask us anything")
	b.click("#ice-breakers button", "open")
	b.click("#get-started", "")
	b.click("#customers button", "Omar")
	b.shows("#phone-lines", "مرحبا")
	if got := eval[string](b, `[...document.querySelectorAll('#phone-lines .body, #done-list .row-text')].map(el => getComputedStyle(el).direction[0]).join('')`); got != "rlrll" {
		t.Errorf("the directions of Omar's thread are %s, want his words right to left", got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want := []page.Act{{Do: page.DoButton, PSID: "7000000000000001", Text: "Buy"}, {Do: page.DoButton, PSID: "7000000000000003", Text: "When are you open?"}, {Do: page.DoStart, PSID: "7000000000000003"}}
	if !slices.Equal(s.acts, want) {
		t.Errorf("the page did %v, want %v", s.acts, want)
	}
}

// The middle tells who holds the thread, why, until when, and whether Meta agrees;
// times count on the stage's clock.
func TestBrowserHolder(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	b := br.still(t, s, wide)
	station := `getComputedStyle(document.querySelector('#baton')).getPropertyValue('--station')`
	for _, tt := range []struct {
		thread  page.Thread
		ahead   time.Duration
		station string
		says    []string
	}{
		{page.Thread{Phase: "waiting", Why: "she wrote human", Since: noon, Limit: noon.Add(12 * time.Hour), Owner: messenger.PageInbox, OwnerName: "Page Inbox", Lapses: noon.Add(24 * time.Hour), Window: noon.Add(24 * time.Hour), Episode: 3}, 0, "1", []string{"Ann waits for a person", "she wrote human", "11 h 59 min", "23 h 59 min", "Page Inbox"}},
		{page.Thread{Phase: "waiting", Limit: noon.Add(12 * time.Hour), Owner: messenger.PageInbox, OwnerName: "Page Inbox"}, 11 * time.Hour, "1", []string{"59 min"}},
		{page.Thread{Phase: "human", Why: "an agent wrote", Owner: messenger.PageInbox, OwnerName: "Page Inbox"}, 0, "2", []string{"People have Ann’s thread", "an agent wrote"}},
		{page.Thread{Phase: "solved", Reopen: noon.Add(96 * time.Hour), OwnerName: "nobody (idle)"}, 0, "3", []string{"Solved", "Reopen buffer", "3 d 23 h"}},
		{page.Thread{Phase: "bot", Owner: "622851382610562", OwnerName: "Meta AI", Pending: 2, Awaiting: "take"}, 0, "0", []string{"The bot has Ann’s thread", "Meta AI", "Usher says the bot", "taking control"}},
		{page.Thread{Phase: "human", OwnerName: "nobody (idle)"}, 0, "2", []string{"Usher says people"}},
		{page.Thread{Phase: "bot", OwnerName: "nobody (idle)"}, 0, "0", []string{"as Usher says"}},
	} {
		s.set(func(st *page.State) { st.Now, st.Customers[0].Thread = noon.Add(tt.ahead+time.Second), tt.thread })
		for _, want := range tt.says {
			b.shows("#relay", want)
		}
		if got := eval[string](b, station); got != tt.station {
			t.Errorf("%s: the baton is at station %q, want %s", tt.thread.Phase, got, tt.station)
		}
	}
	s.set(func(st *page.State) { st.Up, st.Graph = false, false })
	b.shows("#relay", "Usher is dead")
	b.shows(".world", "Restart")
	b.shows(".world", "Graph is down")
}

// What the server refuses is told in its words, and nothing typed is lost.
func TestBrowserRefusals(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	s.refuse = "A situation is being played"
	b := br.still(t, s, wide)
	b.writes("#says", "hello there")
	b.shows("#toasts", "A situation is being played")
	b.wait(`document.querySelector('#says').value === 'hello there'`)
	s.mu.Lock()
	s.refuse = ""
	s.mu.Unlock()
	b.writes("#says", "")
	b.wait(`document.querySelector('#says').value === ''`)
	b.click("#toasts button", "Dismiss")
	b.wait(`!document.querySelector('#toasts p')`)
	eventually(t, "the page acts", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.acts) > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := []page.Act{{Do: page.DoSays, PSID: "7000000000000001", Text: "hello there"}}; !slices.Equal(s.acts, want) {
		t.Errorf("the page did %v, want %v", s.acts, want)
	}
}

// A page whose server was away says so, comes back, and misses nothing.
func TestBrowserComesBack(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	h, err := page.New(s)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	b := br.at(t, server.URL, wide)
	b.wait(`document.querySelectorAll('#timeline li').length === 11 && document.querySelector('#lost').hidden`)
	server.CloseClientConnections()
	server.Close()
	b.wait(`document.querySelector('#lost').checkVisibility()`)
	s.tell(page.Entry{At: noon, Kind: "world", Title: "while nobody looked"})
	again := httptest.NewUnstartedServer(h)
	if err := again.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	if again.Listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	again.Start()
	t.Cleanup(func() { again.CloseClientConnections(); again.Close() })
	b.shows("#timeline", "while nobody looked")
	b.wait(`document.querySelector('#lost').hidden`)
	if n := eval[int](b, `document.querySelectorAll('#timeline li').length`); n != 12 {
		t.Errorf("%d entries are shown, want 12: each once", n)
	}
}

// Situations tell what they show, where they are, and what came of them.
func TestBrowserShowsSituations(t *testing.T) {
	t.Parallel()
	br := chromium(t)
	s := newStill()
	b := br.still(t, s, wide)
	b.click("#play-killed", "Killed")
	s.set(func(st *page.State) { st.Playing, st.Situations[5].Step = "killed", "Usher is killed" })
	b.shows("#caption", "Killed in between: Usher is killed")
	b.wait(`document.querySelector('#up-switch').disabled && document.querySelector('#play-killed').ariaDisabled === 'true'`)
	b.click("#play-killed", "Killed") // in vain
	b.click("#stop", "Stop")
	s.set(func(st *page.State) {
		st.Playing, st.Situations[5].Step = "", ""
		st.Situations[5].Verdict, st.Situations[5].Proof = "broken", "1 delivery, 2 answers"
		st.Tally.Doubled = 1
	})
	b.shows("#caption", "Killed in between broken: 1 delivery, 2 answers")
	b.wait(`document.querySelector('#play-killed').dataset.how === 'broken' && document.querySelector('#stop').hidden`)
	b.wait(`document.querySelector('#tally [data-tone=bad]').innerText.includes('1')`)
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := []page.Act{{Do: page.DoPlay, PSID: "7000000000000001", Text: "killed"}, {Do: page.DoStop}}; !slices.Equal(s.acts, want) {
		t.Errorf("the page did %v, want %v", s.acts, want)
	}
}
