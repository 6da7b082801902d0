package main

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"usher/cmd/usher/page"
	"usher/messenger"
	"usher/messenger/simulator"
)

// still is a stage on which nothing happens but what a test sets.
type still struct {
	mu      sync.Mutex
	state   page.State
	entries []page.Entry
	acts    []page.Act
	refuse  string // what it refuses every act with
	changed chan struct{}
}

func (s *still) State(context.Context) (page.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.state // what is written out must not change meanwhile
	out.Customers, out.Situations = slices.Clone(out.Customers), slices.Clone(out.Situations)
	return out, nil
}

func (s *still) Log(after int64, limit int) (entries []page.Entry, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after > int64(len(s.entries)) {
		after = 0
	}
	rest := s.entries[after:]
	return slices.Clone(rest[:min(limit, len(rest))]), s.changed
}

func (s *still) Do(_ context.Context, a page.Act) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != "" {
		return &page.ActError{Status: 409, Text: s.refuse}
	}
	s.acts = append(s.acts, a)
	return nil
}

// set changes the stage.
func (s *still) set(change func(*page.State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	close(s.changed)
	s.changed = make(chan struct{})
}

// tell adds to the time line.
func (s *still) tell(entries ...page.Entry) {
	s.set(func(*page.State) {
		for _, e := range entries {
			e.Seq = int64(len(s.entries)) + 1
			s.entries = append(s.entries, e)
		}
	})
}

// noon is when it all happens.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// newStill returns a stage with three customers, the first of whom waits.
func newStill() *still {
	s := &still{changed: make(chan struct{})}
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	ann := page.Customer{
		PSID: "7000000000000001", Name: "Ann Lee", Locale: "en_US",
		Phone: simulator.Phone{
			Menu: []simulator.Button{{Title: "Talk to a human", Payload: "x"}, {Title: "Back to bot", Payload: "x"}},
			Lines: []simulator.Line{
				{At: at(-4), MID: "m1", From: simulator.FromCustomer, Text: "hello"},
				{At: at(-4), MID: "m2", From: simulator.FromPage, App: stageApp, Text: "Hello! This is the automated assistant of this Page. Ask me something, or choose below.", QuickReplies: []simulator.QuickReply{{Title: "Talk to a human"}}},
				{At: at(-2), MID: "m3", From: simulator.FromCustomer, Text: "Talk to a human"},
				{At: at(-2), MID: "m4", From: simulator.FromPage, App: stageApp, Text: "I'm passing you to a person. They will answer here as soon as they can.", Buttons: []simulator.Button{{Title: "Back to bot", Payload: "x"}}},
			},
		},
		Thread: page.Thread{
			Phase: "waiting", Cause: "button", Why: "she tapped Talk to a human", Since: at(-2), Limit: at(718), Owner: messenger.PageInbox,
			OwnerName: "Page Inbox", Lapses: at(1438), Window: at(1438), Episode: 1,
		},
		Inbox: simulator.Chat{PSID: "7000000000000001", Folder: simulator.FolderMain, Unread: 1, Notified: true, Controls: true},
	}
	omar := page.Customer{
		PSID: "7000000000000002", Name: "Omar Haddad", Locale: "ar_AR",
		Phone: simulator.Phone{Lines: []simulator.Line{
			{At: at(-9), MID: "o1", From: simulator.FromCustomer, Text: "مرحبا، متى تفتحون؟"},
			{At: at(-9), MID: "o2", From: simulator.FromPage, App: stageApp, Text: "We are open Monday to Friday from 9 to 17."},
			{At: at(-8), MID: "o3", From: simulator.FromCustomer, Text: "شكرا"},
			{At: at(-8), MID: "o4", From: simulator.FromPage, App: stageApp, Text: "You're welcome!"},
		}},
		Thread: page.Thread{Phase: "bot", OwnerName: "Usher", Owner: stageApp, Window: at(1432), Lapses: at(1432)},
		Inbox:  simulator.Chat{PSID: "7000000000000002", Folder: simulator.FolderDone},
	}
	zoe := page.Customer{
		PSID: "7000000000000003", Name: "Zoë Müller", Locale: "de_DE",
		Phone:  simulator.Phone{GetStarted: true, Greeting: "Ask us anything. The automated assistant answers at once, people as soon as they can."},
		Thread: page.Thread{Phase: "bot", OwnerName: "nobody (idle)"},
		Inbox:  simulator.Chat{PSID: "7000000000000003", Folder: simulator.FolderDone},
	}
	s.state = page.State{
		Page: page.Page{ID: stagePage, Name: "Corner Shop", App: stageApp, Inbox: messenger.PageInbox}, Now: noon, Up: true, Graph: true, Webhooks: true, Done: "pass",
		Customers: []page.Customer{ann, omar, zoe},
		Tally:     page.Tally{Events: 12, Answered: 4},
		First:     1,
	}
	for _, w := range [][3]string{
		{"agent_first", "An agent types first", "An agent writes into a thread that nobody passed: the bot falls silent at once."},
		{"done_lost", "Done gets lost", "The agent clicks Done, and nobody is told. The bot comes back all the same."},
		{"graph_down", "Graph is down", "Meta's API fails just when somebody asks for a person. Nothing is lost, and it is said once."},
		{"time_limit", "Nobody comes", "No agent answers in 12 hours: the bot brings the thread back."},
		{"five_times", "Told five times", "Meta delivers the same webhook five times: one answer."},
		{"killed", "Killed in between", "kill -9 between webhook and answer: after the restart, one answer."},
	} {
		s.state.Situations = append(s.state.Situations, page.Situation{ID: w[0], Title: w[1], About: w[2]})
	}
	body := json.RawMessage(`{"object":"page","entry":[{"id":"1000000000000001","time":1795262280000,"messaging":[{"sender":{"id":"7000000000000001"},"message":{"mid":"m3","text":"Talk to a human","quick_reply":{"payload":"usher:handoff"}}}]}]}`)
	for i, e := range []page.Entry{
		{Kind: "act", Title: "Ann writes “hello”"},
		{Kind: "webhook", Title: "message on messaging → 200", JSON: body},
		{Kind: "decision", Title: "message: answer", JSON: body},
		{Kind: "call", Title: "POST messages → 200", JSON: body},
		{Kind: "webhook", Title: "echo on messaging → 200", JSON: body},
		{Kind: "act", Title: "Ann taps “Talk to a human”"},
		{Kind: "webhook", Title: "quick_reply on messaging → 200", JSON: body},
		{Kind: "decision", Title: "quick_reply: from bot to waiting; say so and pass control", Cause: "button", Tone: "warn", JSON: body},
		{Kind: "call", Title: "POST messages thread_control: pass 263902037430900 → 200", JSON: body},
		{Kind: "webhook", Title: "echo on standby → 200", JSON: body},
		{Kind: "world", Title: "The clock is put forward by 30 min"},
	} {
		e.Seq, e.At, e.PSID = int64(i+1), at(-4).Add(time.Duration(i)*7*time.Second), ann.PSID
		if e.Kind == "world" {
			e.PSID = ""
		}
		s.entries = append(s.entries, e)
	}
	return s
}

// still opens the page of a still stage.
func (br browser) still(t *testing.T, s *still, on screen) *tab {
	t.Helper()
	h, err := page.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return br.open(t, h, on)
}
