package main

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"usher/cmd/usher/page"
	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// tally counts, as it happens, what Meta's ledger and the history prove. What it
// remembers is bounded: the newest few thousand events, and a little of each
// customer.
type tally struct {
	mu      sync.Mutex
	count   page.Tally
	told    seen // events that Meta told us
	said    seen // effects that Meta carried out for us
	ours    seen // messages of ours: their echoes need no decision
	decided seen
	open    map[string]messenger.PSID // acknowledged events that are not decided, by id
	threads map[messenger.PSID]*talk
}

// talk is what is counted of a thread.
type talk struct {
	unanswered int  // the customer's messages since anybody answered
	people     bool // people have it: they wrote, or we passed it; until Usher decides otherwise
	// texts are what the bot said since the customer's acts number acts began;
	// owed is how many of those it has not answered.
	texts      map[string]int
	acts, owed int
}

func newTally() *tally {
	return &tally{open: map[string]messenger.PSID{}, threads: map[messenger.PSID]*talk{}}
}

// seen remembers the newest few thousand names.
type seen struct {
	names map[string]struct{}
	order []string
}

// maxSeen is how many names are remembered, at least.
const maxSeen = 4096

// add remembers a name, and tells whether it is a new one.
func (s *seen) add(name string) bool {
	if s.has(name) {
		return false
	}
	if s.names == nil {
		s.names = map[string]struct{}{}
	}
	if len(s.order) >= 2*maxSeen { // rarely, so that it costs little
		for _, old := range s.order[:maxSeen] {
			delete(s.names, old)
		}
		s.order = slices.Clone(s.order[maxSeen:])
	}
	s.names[name] = struct{}{}
	s.order = append(s.order, name)
	return true
}

func (s *seen) has(name string) bool { _, ok := s.names[name]; return ok }

func (t *tally) talk(psid messenger.PSID) *talk {
	k := t.threads[psid]
	if k == nil {
		k = &talk{texts: map[string]int{}}
		t.threads[psid] = k
	}
	return k
}

// meta counts a line of Meta's ledger.
func (t *tally) meta(e simulator.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Act != nil:
		t.act(*e.Act)
	case e.Delivery != nil && e.Delivery.App == stageApp:
		t.delivery(*e.Delivery)
	case e.Call != nil && byUs(*e.Call) && e.Call.OK():
		t.call(*e.Call)
	}
}

func (t *tally) act(a simulator.Act) {
	k := t.talk(a.PSID)
	switch {
	case a.Who == "customer" && a.MID != "" && a.Text != "": // a message or a tap
		k.unanswered++
		if k.owed == 0 {
			k.acts = 0
			clear(k.texts)
		}
		k.acts++
		k.owed++
	case a.Who == "agent" && a.What == "replies":
		t.answered(k)
		k.people, k.owed = true, 0
	case a.Who == "agent" && a.What == "moves to main":
		k.people = true
	}
}

func (t *tally) answered(k *talk) {
	t.count.Answered += k.unanswered
	k.unanswered = 0
}

func (t *tally) delivery(d simulator.Delivery) {
	for _, ev := range d.Events {
		id := string(ev.Kind) + ":" + string(ev.MID) // as history names it
		if ev.MID == "" {
			if d.Attempt == 1 {
				t.count.Events++
			}
			continue
		}
		if t.told.add(id) {
			t.count.Events++
		}
		if d.Status == 200 && mustDecide(ev.Kind) && !t.ours.has(string(ev.MID)) && !t.decided.has(id) && len(t.open) < maxSeen {
			t.open[id] = ev.PSID
		}
	}
}

// mustDecide tells whether each event of a kind leaves a line of history.
func mustDecide(k messenger.Kind) bool {
	return k == messenger.KindMessage || k == messenger.KindQuickReply || k == messenger.KindPostback || k == messenger.KindEcho
}

// call counts a call of ours that took effect.
func (t *tally) call(c simulator.Call) {
	k := t.talk(c.PSID)
	if c.Edge == simulator.EdgeMessages && c.Action == "" {
		t.ours.add(string(c.MID))
		t.answered(k)
		if k.people {
			t.count.Over++
		}
		text := strings.Join(append([]string{c.Text, c.Attachment}, c.Cards...), "\n")
		k.texts[text]++
		switch {
		case c.Metadata != "" && !t.said.add(c.Metadata), k.texts[text] > max(1, k.acts):
			t.count.Doubled++
		}
		k.owed = max(0, k.owed-1)
	}
	if c.Edge == simulator.EdgePass || strings.HasPrefix(c.Control, "pass") {
		k.people = true
	}
}

// line counts a decision.
func (t *tally) line(l engine.Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decide(l)
	if key, err := messenger.ParseThreadKey(l.Thread); err == nil && l.Moved && (l.To == handover.Bot || l.To == handover.Solved) {
		t.talk(key.PSID).people = false
	}
}

func (t *tally) decide(l engine.Line) {
	// A postback without its payload is an event of its own, and what waited is
	// decided anew.
	id := strings.TrimSuffix(strings.TrimRight(l.ID, "!"), ":bare")
	t.decided.add(id)
	delete(t.open, id)
}

// undecided returns the acknowledged events that are not decided, by id.
func (t *tally) undecided() map[string]messenger.PSID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.open)
}

// lost counts as lost what was undecided before nothing waited any more, and is
// not in the history that was read since. What has come in the meantime may wait.
func (t *tally) lost(undecided map[string]messenger.PSID, history []engine.Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range history {
		t.decide(l)
	}
	t.count.Lost = 0
	for id := range undecided {
		if _, open := t.open[id]; open {
			t.count.Lost++
		}
	}
}

// counts returns what was counted.
func (t *tally) counts() page.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}
