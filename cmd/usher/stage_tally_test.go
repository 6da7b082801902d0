package main

import (
	"fmt"
	"testing"

	"usher/cmd/usher/page"
	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// ledger feeds a tally with what Meta and the history tell.
type ledger struct{ *tally }

func (l ledger) says(text string) {
	l.meta(simulator.Entry{Act: &simulator.Act{Who: "customer", What: "says", Text: text, PSID: ann, MID: "m_1"}})
}

func (l ledger) agent() {
	l.meta(simulator.Entry{Act: &simulator.Act{Who: "agent", What: "replies", Text: "Kim", PSID: ann, MID: "m_2"}})
}

func (l ledger) bot(text, id, control string) {
	l.meta(simulator.Entry{Call: &simulator.Call{
		App: stageApp, Edge: simulator.EdgeMessages, PSID: ann, Status: 200, Text: text, Metadata: id, Control: control, MID: messenger.MessageID("m" + id),
	}})
}

func (l ledger) told(kind messenger.Kind, mid messenger.MessageID, status, attempt int) {
	l.meta(simulator.Entry{Delivery: &simulator.Delivery{
		App: stageApp, Status: status, Attempt: attempt, Events: []simulator.Told{{Kind: kind, MID: mid, PSID: ann}},
	}})
}

func (l ledger) decides(id string, to handover.Phase, moved bool) {
	l.line(engine.Line{Thread: keyOf(ann).String(), ID: id, To: to, Moved: moved})
}

// counted lets what is lost be counted, with a history that was read for it.
func (l ledger) counted(history ...engine.Line) { l.lost(l.undecided(), history) }

func TestTally(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		play func(ledger)
		want page.Tally
	}{
		"an_answer_to_two": {func(l ledger) { l.says("a"); l.says("b"); l.bot("x", "1", "") }, page.Tally{Answered: 2}},
		"a_person_answers": {func(l ledger) { l.says("a"); l.agent() }, page.Tally{Answered: 1}},
		"nobody_answers":   {func(l ledger) { l.says("a") }, page.Tally{}},
		"a_refused_answer": {func(l ledger) {
			l.says("a")
			l.meta(simulator.Entry{Call: &simulator.Call{App: stageApp, Edge: simulator.EdgeMessages, PSID: ann, Status: 400}})
		}, page.Tally{}},
		"one_effect_twice":  {func(l ledger) { l.says("a"); l.says("a"); l.bot("x", "1", ""); l.bot("x", "1", "") }, page.Tally{Answered: 2, Doubled: 1}},
		"one_text_twice":    {func(l ledger) { l.says("a"); l.bot("x", "1", ""); l.bot("x", "2", "") }, page.Tally{Answered: 1, Doubled: 1}},
		"one_text_for_each": {func(l ledger) { l.says("a"); l.bot("x", "1", ""); l.says("a"); l.bot("x", "2", "") }, page.Tally{Answered: 2}},
		"both_at_once":      {func(l ledger) { l.says("a"); l.says("a"); l.bot("x", "1", ""); l.bot("x", "2", "") }, page.Tally{Answered: 2}},
		"once_more": {func(l ledger) {
			l.says("a")
			l.says("a")
			l.bot("x", "1", "")
			l.bot("x", "2", "")
			l.bot("x", "3", "")
		}, page.Tally{Answered: 2, Doubled: 1}},
		"an_answer_of_two":      {func(l ledger) { l.says("a"); l.bot("x", "1", ""); l.bot("y", "2", "") }, page.Tally{Answered: 1}},
		"over_an_agent":         {func(l ledger) { l.agent(); l.bot("x", "1", "") }, page.Tally{Over: 1}},
		"the_farewell_is_none":  {func(l ledger) { l.bot("x", "1", "pass 263902037430900") }, page.Tally{}},
		"over_who_is_to_come":   {func(l ledger) { l.bot("x", "1", "pass 263902037430900"); l.bot("y", "2", "") }, page.Tally{Over: 1}},
		"back_by_a_decision":    {func(l ledger) { l.agent(); l.decides("x", handover.Bot, true); l.bot("x", "1", "") }, page.Tally{}},
		"a_decision_to_stay":    {func(l ledger) { l.agent(); l.decides("x", handover.Human, true); l.bot("x", "1", "") }, page.Tally{Over: 1}},
		"acknowledged_and_lost": {func(l ledger) { l.told(messenger.KindMessage, "m_1", 200, 1); l.counted() }, page.Tally{Events: 1, Lost: 1}},
		"not_acknowledged":      {func(l ledger) { l.told(messenger.KindMessage, "m_1", 503, 1); l.counted() }, page.Tally{Events: 1}},
		"decided": {func(l ledger) {
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.decides("message:m_1", 0, false)
			l.counted()
		}, page.Tally{Events: 1}},
		"decided_at_once": {func(l ledger) {
			l.decides("message:m_1", 0, false)
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.counted()
		}, page.Tally{Events: 1}},
		"decided_after_a_wait": {func(l ledger) {
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.decides("message:m_1!", 0, false)
			l.counted()
		}, page.Tally{Events: 1}},
		"a_bare_postback": {func(l ledger) {
			l.told(messenger.KindPostback, "m_1", 200, 1)
			l.decides("postback:m_1:bare", 0, false)
			l.counted()
		}, page.Tally{Events: 1}},
		"history_knows": {func(l ledger) {
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.counted(engine.Line{ID: "message:m_1"})
		}, page.Tally{Events: 1}},
		"told_while_it_is_counted": {func(l ledger) {
			before := l.undecided()
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.lost(before, nil)
		}, page.Tally{Events: 1}},
		"decided_since_it_was_counted": {func(l ledger) {
			l.told(messenger.KindMessage, "m_1", 200, 1)
			l.counted()
			l.decides("message:m_1", 0, false)
			l.counted()
		}, page.Tally{Events: 1}},
		"told_five_times": {func(l ledger) {
			for range 5 {
				l.told(messenger.KindMessage, "m_1", 200, 1)
			}
			l.decides("message:m_1", 0, false)
			l.counted()
		}, page.Tally{Events: 1}},
		"our_own_echo":        {func(l ledger) { l.bot("x", "1", ""); l.told(messenger.KindEcho, "m1", 200, 1); l.counted() }, page.Tally{Events: 1}},
		"an_agents_echo_lost": {func(l ledger) { l.agent(); l.told(messenger.KindEcho, "m_2", 200, 1); l.counted() }, page.Tally{Events: 1, Answered: 0, Lost: 1}},
		"a_pass_tried_twice": {func(l ledger) {
			l.told(messenger.KindPass, "", 0, 1)
			l.told(messenger.KindPass, "", 200, 2)
			l.counted()
		}, page.Tally{Events: 1}},
		"of_another_app": {func(l ledger) {
			l.meta(simulator.Entry{Delivery: &simulator.Delivery{App: "1", Status: 200, Attempt: 1, Events: []simulator.Told{{Kind: messenger.KindMessage, MID: "m"}}}})
		}, page.Tally{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := ledger{newTally()}
			tt.play(l)
			if got := l.counts(); got != tt.want {
				t.Errorf("tally = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A long evening does not fill the memory.
func TestTallyForgets(t *testing.T) {
	t.Parallel()
	l := ledger{newTally()}
	for i := range 5 * maxSeen {
		mid := fmt.Sprintf("m_%d", i)
		l.says(mid)
		l.told(messenger.KindMessage, messenger.MessageID(mid), 200, 1)
		l.bot("answer "+mid, mid, "")
		if i%2 == 0 {
			l.decides("message:"+mid, 0, false)
		}
	}
	for name, n := range map[string]int{
		"told": len(l.tally.told.names), "said": len(l.said.names), "ours": len(l.ours.names), "decided": len(l.decided.names),
	} {
		if n > 2*maxSeen || n < maxSeen/2 {
			t.Errorf("%s remembers %d, want about %d", name, n, maxSeen)
		}
	}
	if n := len(l.open); n > maxSeen {
		t.Errorf("%d events are open, want at most %d", n, maxSeen)
	}
	if k := l.threads[ann]; len(k.texts) > 2 {
		t.Errorf("%d texts are remembered, want those since she last wrote", len(k.texts))
	}
}

// The time line remembers its newest entries, and gives each reader what it lacks.
func TestTimeLine(t *testing.T) {
	t.Parallel()
	l := newTimeLine(100)
	_, changed := l.since(0, 10)
	for range 5 * maxLog {
		l.add(page.Entry{Title: "x"})
		if n := len(l.entries); n > 2*maxLog {
			t.Fatalf("%d entries are kept", n)
		}
	}
	select {
	case <-changed:
	default:
		t.Error("an entry does not tell that something changed")
	}
	last := int64(100 + 5*maxLog)
	for _, tt := range []struct {
		name    string
		after   int64
		limit   int
		from, n int64
	}{
		{"all", 0, 2 * maxLog, last - maxLog + 1, maxLog},
		{"the_first_of_them", 0, 10, last - maxLog + 1, 10},
		{"forgotten", 105, 1, last - maxLog + 1, 1},
		{"the_last", last - 1, 10, last, 1},
		{"none", last, 10, 0, 0},
		{"of_another_process", last + 1, 1, last - maxLog + 1, 1},
	} {
		got, _ := l.since(tt.after, tt.limit)
		if int64(len(got)) != tt.n || tt.n > 0 && (got[0].Seq != tt.from || got[tt.n-1].Seq != tt.from+tt.n-1) {
			t.Errorf("%s: %d entries, want %d from %d", tt.name, len(got), tt.n, tt.from)
		}
	}
	if l.begins() != 101 {
		t.Errorf("begins at %d, want 101", l.begins())
	}
	l.restart()
	if got, _ := l.since(0, 10); len(got) != 0 || l.begins() != last+1 {
		t.Errorf("after a restart: %d entries, begins at %d", len(got), l.begins())
	}
}
